"""Which hosts and addresses the gateway connects to. Pure: nothing here opens a connection.

Sources: the IANA special-purpose address registries (RFC 6890), RFC 4291 (IPv6), RFC 6052 (NAT64),
RFC 3056 (6to4), RFC 4380 (Teredo), and the metadata addresses of the cloud providers.
"""

import re
from dataclasses import dataclass
from ipaddress import (
    AddressValueError,
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
)
from urllib.parse import SplitResult, urlsplit

from proxy.errors import EgressRefused


@dataclass(frozen=True, slots=True)
class AddressPolicy:
    """What one configured server may resolve to.

    `allow_private` admits loopback, private and other special-purpose addresses and plain http.
    Link-local, metadata, multicast, unspecified and reserved addresses are never admitted.
    """

    allow_private: bool = False


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme, normalised host and port of a server; `path` is the base URL's, as it was given."""

    scheme: str
    host: str
    port: int
    path: str = ""

    @property
    def url(self) -> str:
        """The origin without the path, as it begins every URL of this server."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        default = {"http": 80, "https": 443}[self.scheme]
        return f"{self.scheme}://{host}" + ("" if self.port == default else f":{self.port}")


_NEVER = {
    "link-local or metadata": (
        IPv4Network("169.254.0.0/16"),
        IPv6Network("fe80::/10"),
        IPv4Network("168.63.129.16/32"),  # Azure
        IPv4Network("100.100.100.200/32"),  # Alibaba Cloud
        IPv4Network("192.0.0.192/32"),  # Oracle Cloud
        IPv6Network("fd00:ec2::254/128"),  # AWS
        IPv6Network("fd20:ce::254/128"),  # Google Cloud
    ),
    "unspecified": (IPv4Network("0.0.0.0/8"), IPv6Network("::/128")),
    "multicast": (IPv4Network("224.0.0.0/4"), IPv6Network("ff00::/8")),
    "reserved": (IPv4Network("240.0.0.0/4"),),
    "locally translated": (IPv6Network("64:ff9b:1::/48"),),  # RFC 8215: what it carries is unknown
}
_SPECIAL = {
    "loopback": (IPv4Network("127.0.0.0/8"), IPv6Network("::1/128")),
    "private": (
        IPv4Network("10.0.0.0/8"),
        IPv4Network("172.16.0.0/12"),
        IPv4Network("192.168.0.0/16"),
        IPv4Network("100.64.0.0/10"),
        IPv6Network("fc00::/7"),
    ),
    "special-purpose": (
        IPv4Network("192.0.0.0/24"),
        IPv4Network("192.0.2.0/24"),
        IPv4Network("192.88.99.0/24"),
        IPv4Network("198.18.0.0/15"),
        IPv4Network("198.51.100.0/24"),
        IPv4Network("203.0.113.0/24"),
        IPv6Network("2001::/23"),
        IPv6Network("2001:db8::/32"),
        IPv6Network("2002::/16"),
        IPv6Network("3fff::/20"),
    ),
}
_GLOBAL_V6 = IPv6Network("2000::/3")
_EMBEDS_V4 = (
    IPv6Network("::/96"),  # IPv4-compatible
    IPv6Network("::ffff:0:0:0/96"),  # IPv4-translated (RFC 2765)
    IPv6Network("64:ff9b::/96"),  # NAT64
)
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_ENDS_IN_NUMBER = re.compile(r"(.*\.)?([0-9]+|0x[0-9a-f]*)")
_VISIBLE = re.compile(r"[\x21-\x7e]+")


def check_address(address: str, policy: AddressPolicy) -> None:
    """Refuse an IP address the gateway does not connect to. Raises EgressRefused.

    An IPv6 address that carries an IPv4 one (mapped, NAT64, 6to4, Teredo) is refused like a private
    address, and what it carries is judged as well.
    """
    try:
        parsed = ip_address(address)
    except ValueError as wrong:
        raise EgressRefused("not an IP address") from wrong
    kind = _kind(parsed, _NEVER)
    if kind:
        raise EgressRefused(f"the gateway never connects to a {kind} address")
    for carried in _carried(parsed):
        check_address(str(carried), policy)
    kind = _kind(parsed, _SPECIAL) or _not_global(parsed)
    if kind and not policy.allow_private:
        raise EgressRefused(
            f"the gateway does not connect to a {kind} address; set allow_private for this server"
        )


def normalise_host(host: str) -> str:
    """Return a host in its one spelling: a lower-case name, dotted IPv4 or compressed IPv6.

    Refused, because two parsers may read them differently: short, decimal, hexadecimal and octal
    IPv4, non-ASCII letters and digits, userinfo, trailing dots, backslashes, percent-encoding, zone
    identifiers. An internationalised name is written as `xn--…`. Raises EgressRefused.
    """
    if host.startswith("[") and host.endswith("]"):
        return _ipv6(host[1:-1])
    if ":" in host:
        return _ipv6(host)
    lowered = host.lower() if host.isascii() else ""
    if _ENDS_IN_NUMBER.fullmatch(lowered):
        return _ipv4(lowered)
    labels = lowered.split(".")
    if len(lowered) > 253 or not all(_LABEL.fullmatch(label) for label in labels):  # noqa: PLR2004 RFC 1035 section 2.3.4
        raise EgressRefused("not a host name in its plain spelling")
    return lowered


def parse_origin(url: str, policy: AddressPolicy) -> Origin:
    """Return where a configured base URL points. Raises EgressRefused, also for a literal address
    the policy does not admit and for plain http without `allow_private`.
    """
    if not _VISIBLE.fullmatch(url) or "\\" in url:
        raise EgressRefused("the URL has characters that do not belong in a URL")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as wrong:
        raise EgressRefused("not a URL") from wrong
    _check_parts(parts, policy)
    host = normalise_host(parts.hostname or "")
    if ":" in host or _ENDS_IN_NUMBER.fullmatch(host):
        check_address(host, policy)
    default = 443 if parts.scheme == "https" else 80
    return Origin(parts.scheme, host, port or default, parts.path)


def _check_parts(parts: SplitResult, policy: AddressPolicy) -> None:
    if parts.scheme not in {"http", "https"}:
        raise EgressRefused("the URL has to begin with https:// or http://")
    if "@" in parts.netloc:
        raise EgressRefused("the URL carries userinfo; put credentials into a broker")
    if parts.query or parts.fragment:
        raise EgressRefused("a base URL has no query and no fragment")
    if parts.scheme == "http" and not policy.allow_private:
        raise EgressRefused("plain http is for servers with allow_private; use https")


def _kind(
    address: IPv4Address | IPv6Address,
    table: dict[str, tuple[IPv4Network | IPv6Network, ...]],
) -> str:
    for kind, networks in table.items():
        if any(address in network for network in networks if network.version == address.version):
            return kind
    return ""


def _not_global(address: IPv4Address | IPv6Address) -> str:
    if isinstance(address, IPv6Address) and address not in _GLOBAL_V6:
        return "special-purpose"
    return ""


def _carried(address: IPv4Address | IPv6Address) -> tuple[IPv4Address, ...]:
    """Return the IPv4 addresses an IPv6 address carries."""
    if isinstance(address, IPv4Address) or address == IPv6Address("::1"):
        return ()
    if any(address in network for network in _EMBEDS_V4):
        return (IPv4Address(int(address) & 0xFFFFFFFF),)
    inside = (address.ipv4_mapped, address.sixtofour, *(address.teredo or ()))
    return tuple(found for found in inside if found is not None)


def _ipv4(host: str) -> str:
    try:
        return str(IPv4Address(host))  # refuses leading zeros and short forms
    except AddressValueError as wrong:
        raise EgressRefused("an IPv4 address has to be four decimal numbers") from wrong


def _ipv6(host: str) -> str:
    try:
        parsed = IPv6Address(host)
    except AddressValueError as wrong:
        raise EgressRefused("not an IPv6 address") from wrong
    if parsed.scope_id:
        raise EgressRefused("an address with a zone identifier is link-local")
    return str(parsed)
