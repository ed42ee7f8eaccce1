"""Which addresses and host spellings the gateway refuses."""

from ipaddress import IPv6Address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.egress.addresses import AddressPolicy, check_address, normalise_host, parse_origin
from proxy.errors import EgressRefused

PUBLIC = AddressPolicy()
PRIVATE = AddressPolicy(allow_private=True)

NEVER = [
    "169.254.169.254",
    "169.254.0.1",
    "fe80::1",
    "febf::1",
    "fe80::1%eth0",
    "168.63.129.16",
    "100.100.100.200",
    "192.0.0.192",
    "fd00:ec2::254",
    "fd20:ce::254",
    "0.0.0.0",  # noqa: S104 an address that is refused, not bound
    "0.1.2.3",
    "::",
    "224.0.0.1",
    "239.255.255.255",
    "ff02::1",
    "240.0.0.1",
    "255.255.255.255",
    "64:ff9b:1::1",
    "::ffff:169.254.169.254",
    "::169.254.169.254",
    "::ffff:0:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "2002:a9fe:a9fe::1",
    "2001:0:4136:e378:8000:63bf:5601:5601",  # Teredo client 169.254.169.254
    "::ffff:0.0.0.0",
    "not an address",
    "",
]
ONLY_PRIVATE = [
    "127.0.0.1",
    "127.255.255.254",
    "::1",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "100.64.0.1",
    "100.127.255.255",
    "fc00::1",
    "fdff::1",
    "192.0.0.8",
    "192.0.2.1",
    "198.18.0.1",
    "203.0.113.9",
    "2001:db8::1",
    "3fff::1",
    "fec0::1",
    "100::1",
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
    "2002:808:808::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
]
PUBLIC_ONES = ["8.8.8.8", "1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "2a00::1"]


@pytest.mark.parametrize("address", NEVER)
@pytest.mark.parametrize("policy", [PUBLIC, PRIVATE])
def test_never_connected_to(address: str, policy: AddressPolicy) -> None:
    """Link-local, metadata, multicast and the like are refused whatever the server's policy."""
    with pytest.raises(EgressRefused):
        check_address(address, policy)


@pytest.mark.parametrize("address", ONLY_PRIVATE)
def test_private_needs_the_servers_own_word(address: str) -> None:
    """A private or special address is refused, and admitted with allow_private."""
    with pytest.raises(EgressRefused, match="allow_private"):
        check_address(address, PUBLIC)
    check_address(address, PRIVATE)


@pytest.mark.parametrize("address", PUBLIC_ONES)
def test_public_is_admitted(address: str) -> None:
    """A global unicast address is admitted without any permission."""
    check_address(address, PUBLIC)


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["::ffff:0:0", "64:ff9b::", "2002::"]))
def test_wrapping_never_admits_more(number: int, prefix: str) -> None:
    """An IPv4 address wrapped in IPv6 is admitted only if it is admitted bare."""
    from_v4 = _admitted(_dotted(number), PRIVATE)
    shift = 80 if prefix == "2002::" else 0
    assert _admitted(_wrapped(prefix, number << shift), PRIVATE) == from_v4


def _dotted(number: int) -> str:
    return ".".join(str(number >> shift & 255) for shift in (24, 16, 8, 0))


def _wrapped(prefix: str, low: int) -> str:
    return str(IPv6Address(int(IPv6Address(prefix)) | low))


def _admitted(address: str, policy: AddressPolicy) -> bool:
    try:
        check_address(address, policy)
    except EgressRefused:
        return False
    return True


ODD_SPELLINGS = [
    "2130706433",
    "127.1",
    "127.0.1",
    "0x7f.0.0.1",
    "0x7f000001",
    "0x",
    "0177.0.0.1",
    "127.0.0.01",
    "127.0.0.1.",
    "256.1.1.1",
    "1.2.3.4.5",
    "evil.0x7f",
    "\uff11\uff12\uff17.0.0.1",
    "127\u30020\u30020\u30021",
    "localhost.",
    "example.com..",
    "user@example.com",
    "example.com\\@evil",
    "example.com/x",
    "example.com?x",
    "example.com#x",
    "ex%61mple.com",
    "exa mple.com",
    "example.com\r\n",
    "example.com\x00",
    "exämple.com",
    "-example.com",
    "example-.com",
    ".example.com",
    "a..b",
    "",
    "[::1",
    "::1%lo",
    "[fe80::1%25eth0]",
    "1:2:3",
    "a" * 64 + ".com",
    ".".join(["a" * 60] * 5),
]


@pytest.mark.parametrize("host", ODD_SPELLINGS)
def test_odd_spellings_are_refused(host: str) -> None:
    """A host that two parsers may read differently is refused, not repaired."""
    with pytest.raises(EgressRefused):
        normalise_host(host)


@pytest.mark.parametrize(
    ("host", "normal"),
    [
        ("Example.COM", "example.com"),
        ("localhost", "localhost"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("my_service-1", "my_service-1"),
        ("127.0.0.1", "127.0.0.1"),
        ("[::1]", "::1"),
        ("2001:DB8:0:0::1", "2001:db8::1"),
        ("3com.example", "3com.example"),
    ],
)
def test_plain_spellings_become_one(host: str, normal: str) -> None:
    """A plain host is lower-cased and compressed, nothing else."""
    assert normalise_host(host) == normal


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://API.example.com/v1/", "https://api.example.com"),
        ("https://api.example.com:443", "https://api.example.com"),
        ("https://api.example.com:8443/x", "https://api.example.com:8443"),
        ("http://127.0.0.1:80", "http://127.0.0.1"),
        ("http://[::1]:8001/", "http://[::1]:8001"),
    ],
)
def test_an_origin_is_told_once(url: str, origin: str) -> None:
    """Default ports and letter case do not make two origins of one."""
    assert parse_origin(url, PRIVATE).url == origin


@pytest.mark.parametrize("path", ["", "/", "/v1", "/v1/"])
def test_the_path_of_a_base_url_is_kept(path: str) -> None:
    """A trailing slash makes another resource, so it stays."""
    assert parse_origin("https://api.example.com" + path, PUBLIC).path == path


@pytest.mark.parametrize(
    "url",
    [
        "http://api.example.com",
        "https://127.0.0.1",
        "https://[::1]/",
        "https://10.0.0.1:8443",
        "https://user:secret@api.example.com",
        "https://@api.example.com",
        "https://api.example.com/?x=1",
        "https://api.example.com/#x",
        "https://api.example.com:99999",
        "https://api.example.com:x",
        "https://api.example.com\\@evil.example",
        "https://[::1",
        "https://",
        "ftp://api.example.com",
        "api.example.com",
        "https://api.example.com/a b",
    ],
)
def test_base_urls_that_are_refused(url: str) -> None:
    """Plain http, private literals, userinfo, queries and broken URLs are refused."""
    with pytest.raises(EgressRefused):
        parse_origin(url, PUBLIC)
