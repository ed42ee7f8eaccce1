"""URL-shaped strings, normalised so that a policy reads one spelling of a destination.

Follows the URL Standard where its readers differ from RFC 3986: backslashes and missing slashes
after http(s), ws(s), ftp and file; numeric hosts; IDNA; dot segments. What a tool does with a URL
(redirects, DNS rebinding) stays with the tool.
"""

import ipaddress
import re
import socket
from collections.abc import Iterator
from itertools import islice
from urllib.parse import unquote_to_bytes

from proxy.errors import BadRequest

MAX_URLS = 1_000

_DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443, "ftp": 21, "file": None}
_EDGES = "".join(map(chr, range(0x21)))
_WHOLE = re.compile(
    r"(?:(?:https?|wss?|ftp|file):[/\\]*|[a-z][a-z0-9+.-]*://|[/\\]{2,})[^\s/\\?#]+(?:[/\\?#]|\Z)",
    re.IGNORECASE,
)
_MARK = re.compile(r":[/\\]")
_SCHEME_BEFORE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,31}\Z")
_REST = re.compile(r"[^\s<>\"'`{}|^]{0,2048}")
_PUNCTUATION = ".,;:!?)]"
_MAX_PORT = 65_535
_DOT = re.compile(r"(?:\.|%2e)", re.IGNORECASE)
_NUMERIC = re.compile(r"(?:0x[0-9a-f]*|[0-9]+)\Z")


def find_urls(strings: list[str]) -> tuple[tuple[str, ...], frozenset[str]]:
    """Return the normalised URLs in these strings, sorted, and what was odd about them.

    A string that is a URL as a whole is read as one, and URLs inside of longer text are found.
    Flags are of the former only, prose and code are full of examples: `url_userinfo` (taken out of
    the URL), `url_malformed`. Raises BadRequest `too-many-urls` beyond MAX_URLS.
    """
    whole: set[str] = set()
    inner: set[str] = set()
    room = MAX_URLS
    for text in strings:
        if text.isprintable() and not (":" in text or "//" in text or "\\" in text):
            continue
        edged = text.strip(_EDGES)
        joined = edged.replace("\n", "").replace("\t", "").replace("\r", "")
        is_whole = _WHOLE.match(joined) is not None
        marks = list(islice(_MARK.finditer(text), room + 1))
        room -= max(len(marks), is_whole)
        if room < 0:
            raise BadRequest("too-many-urls", f"Send at most {MAX_URLS} URLs in one call.")
        if is_whole:
            whole.add(joined)
            is_read = joined == edged and marks and marks[0].start() == text.find(":")
            marks = marks[1:] if is_read and joined[0] not in "/\\" else marks
        inner.update(_inner(text, marks))
    read = [normalise(url) for url in whole]
    flags = frozenset(flag for _, odd in read for flag in odd)
    found = {url for url, _ in read} | {normalise(url)[0] for url in inner}
    return tuple(sorted(found)), flags


def _inner(text: str, marks: list[re.Match[str]]) -> Iterator[str]:
    """Give the URLs inside a text: `scheme://…`, and those of the web's schemes with one slash."""
    for start in (mark.start() for mark in marks):
        scheme = _SCHEME_BEFORE.search(text, max(0, start - 32), start)
        rest = _REST.match(text, start)
        url = rest[0].rstrip(_PUNCTUATION) if rest else ""
        if scheme is None or not url.strip(":/\\"):
            continue
        if scheme[0].lower() in _DEFAULT_PORTS or url.startswith("://"):
            yield scheme[0] + url


def normalise(spelled: str) -> tuple[str, set[str]]:
    """Return `scheme://host[:port]/path[?query]` and flags; the fragment goes, it is never sent.

    A reference without scheme (`//host/path`) keeps none.
    """
    scheme, rest = _split_scheme(spelled)
    special = scheme in _DEFAULT_PORTS or not scheme
    head, mark, query = rest.partition("#")[0].partition("?")
    flags = {"url_malformed"} if special and "\\" in head else set()
    if special:
        head = head.replace("\\", "/")
        if scheme != "file":
            head = "//" + head.lstrip("/")
        elif not head.startswith("//"):
            head = "///" + head.lstrip("/")
    authority, slash, path = head.removeprefix("//").partition("/")
    _, _, place = authority.rpartition("@")
    if len(place) < len(authority):
        flags.add("url_userinfo")
    host, port, odd = _host_and_port(place, scheme)
    if odd or (special and not host and scheme != "file"):
        flags.add("url_malformed")
    path = _without_dots(slash + path) or ("/" if special else "")
    return f"{scheme}{':' if scheme else ''}//{host}{port}{path}{mark}{query}", flags


def _split_scheme(spelled: str) -> tuple[str, str]:
    if spelled[:1] in ("/", "\\"):
        return "", spelled
    scheme, _, rest = spelled.partition(":")
    return scheme.lower(), rest


def _host_and_port(place: str, scheme: str) -> tuple[str, str, bool]:
    """Return host, `:port` unless it is the default, and whether something is odd."""
    if place.startswith("["):
        address, bracket, after = place.partition("]")
        host, odd = _ipv6(address[1:])
        port, odd = after.removeprefix(":"), odd or not bracket or after[:1] not in ("", ":")
    else:
        name, _, port = place.partition(":")
        host, odd = _name(name)
    if not port:
        return host, "", odd
    if not (port.isascii() and port.isdigit()) or int(port[:9]) > _MAX_PORT:
        return host, f":{port}", True
    number = int(port[:9])
    return host, "" if number == _DEFAULT_PORTS.get(scheme) else f":{number}", odd


def _ipv6(text: str) -> tuple[str, bool]:
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError:
        return f"[{text.lower()}]", True
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped), False
    return f"[{address.compressed}]", False


def _name(name: str) -> tuple[str, bool]:
    """Return a host name in lower-case ASCII, without the root dot; numbers as an IPv4 address."""
    odd = "%" in name
    try:
        host = unquote_to_bytes(name).decode() if odd else name
        host = host.encode("idna").decode() if not host.isascii() else host
    except UnicodeError:
        host, odd = name, True
    host = host.lower().removesuffix(".")
    if _NUMERIC.match(host.rpartition(".")[2]) is None:
        return host, odd
    try:
        return socket.inet_ntoa(socket.inet_aton(host)), odd
    except OSError:
        return host, True


def _without_dots(path: str) -> str:
    """Resolve `.` and `..` segments, their percent-encoded spellings too (RFC 3986 5.2.4)."""
    if "." not in path and "%2" not in path:
        return path
    kept: list[str] = []
    segments = path.split("/")
    for place, segment in enumerate(segments):
        plain = _DOT.sub(".", segment)
        if plain == ".." and len(kept) > 1:
            kept.pop()
        if plain not in (".", ".."):
            kept.append(segment)
        elif place == len(segments) - 1:
            kept.append("")
    return "/".join(kept)
