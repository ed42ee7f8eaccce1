"""Where the database is and how to speak to it: `postgresql://user@host:5432/name?sslmode=…`.

The form is libpq's (PostgreSQL manual, 34.1.1.2 Connection URIs) with few of its parameters. The
environment of libpq (PGHOST, PGPASSWORD, ~/.pgpass, …) is not read, and there is no sslmode that
falls back to plain text by itself.
"""

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

SCHEMES = ("postgres", "postgresql")
TLS_MODES = ("disable", "require", "verify-ca", "verify-full")
DEFAULT_PORT = 5432
DEFAULT_CONNECTIONS = 10
MIN_CONNECTIONS = 2
MAX_CONNECTIONS = 200
_FILES = ("sslrootcert", "sslcert", "sslkey")
_KNOWN = frozenset({"sslmode", *_FILES, "application_name", "connections", "host", "port"})


def no_password() -> str:
    """Return nothing: the server trusts the connection, its certificate or its uid."""
    return ""


@dataclass(frozen=True, slots=True)
class Address:
    """A database. `hosts` are tried in order until one is a primary; a path is a unix socket's.

    `connections` bounds the pool. `password` is asked at every new connection, so that it may
    change.
    """

    hosts: tuple[tuple[str, int], ...]
    user: str
    database: str
    tls: str
    files: Mapping[str, Path] = field(default_factory=dict)
    application_name: str = "detent"
    connections: int = DEFAULT_CONNECTIONS
    password: Callable[[], str] = field(default=no_password, repr=False)

    @classmethod
    def parse(
        cls, url: str, password: Callable[[], str] = no_password, directory: Path = Path()
    ) -> "Address":
        """Read a URL; relative files lie in `directory`. Raises ValueError without echoing it."""
        parts, given = _split(url)
        hosts = _hosts(parts, given)
        tls = given.get("sslmode") or ("disable" if _is_local(hosts) else "verify-full")
        if tls not in TLS_MODES:
            raise ValueError(f"sslmode is one of {', '.join(TLS_MODES)}")
        files = {name: directory / given[name] for name in _FILES if name in given}
        if ("sslcert" in files) != ("sslkey" in files):
            raise ValueError("sslcert and sslkey go together")
        return cls(
            hosts=hosts,
            user=_named(parts.username or "", "user"),
            database=_named(parts.path.removeprefix("/"), "database"),
            tls=tls,
            files=files,
            application_name=given.get("application_name", "detent")[:63],
            connections=_connections(given.get("connections")),
            password=password,
        )

    def __str__(self) -> str:
        """Return it as messages show it: no user, no file, no secret."""
        return f"postgresql://{','.join(f'{host}:{port}' for host, port in self.hosts)}"

    @property
    def is_local(self) -> bool:
        """Whether nothing leaves this machine."""
        return _is_local(self.hosts)

    def tls_context(self) -> ssl.SSLContext | bool:
        """Return the TLS context, False for plain text. Raises OSError: a file cannot be used."""
        if self.tls == "disable":
            return False
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.check_hostname = self.tls == "verify-full"
        if self.tls == "require":
            context.verify_mode = ssl.CERT_NONE
        elif "sslrootcert" in self.files:
            context.load_verify_locations(cafile=self.files["sslrootcert"])
        else:
            context.load_default_certs()
        if "sslcert" in self.files:
            # Without a password OpenSSL would ask for one at the terminal.
            context.load_cert_chain(self.files["sslcert"], self.files["sslkey"], lambda: "")
        return context

    def arguments(self) -> dict[str, Any]:
        """Return what asyncpg.connect is given; everything it would guess is said."""
        return {
            "host": [host for host, _ in self.hosts],
            "port": [port for _, port in self.hosts],
            "user": self.user,
            "database": self.database,
            "password": self.password,
            "ssl": self.tls_context(),
            "target_session_attrs": "primary",
        }


def _split(url: str) -> tuple[SplitResult, dict[str, str]]:
    parts = urlsplit(url)
    if parts.scheme not in SCHEMES:
        raise ValueError("a PostgreSQL store is postgresql://user@host/database")
    if parts.password is not None or parts.fragment:
        raise ValueError("leave the password out of the URL; name it in `store_password`")
    given = dict(parse_qsl(parts.query, keep_blank_values=True))
    unknown = sorted(given.keys() - _KNOWN)
    if unknown:
        raise ValueError(f"unknown parameter; there are {', '.join(sorted(_KNOWN))}")
    return parts, given


def _hosts(parts: SplitResult, given: Mapping[str, str]) -> tuple[tuple[str, int], ...]:
    """Return hosts and ports; `?host=` names the directory of a unix socket, or a host."""
    port = _port(given.get("port", ""))
    if host := given.get("host", ""):
        return ((host, port),)
    named = parts.netloc.rpartition("@")[2]
    found = tuple(_host(unquote(one), port) for one in named.split(",") if one)
    if not found:
        raise ValueError("name the host, or the directory of the unix socket as ?host=/run/…")
    return found


def _host(text: str, port: int) -> tuple[str, int]:
    host, bracket, rest = text.rpartition("]")
    if bracket:
        return host.removeprefix("["), _port(rest.removeprefix(":"), port)
    host, _, own = text.partition(":")
    return host, _port(own, port)


def _port(text: str, otherwise: int = DEFAULT_PORT) -> int:
    if not text:
        return otherwise
    if not text.isdecimal() or not 0 < int(text) < 2**16:
        raise ValueError("a port is a number from 1 to 65535")
    return int(text)


def _is_local(hosts: tuple[tuple[str, int], ...]) -> bool:
    """Whether nothing leaves this machine."""
    return all(host.startswith("/") or _is_loopback(host) for host, _ in hosts)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _named(text: str, what: str) -> str:
    name = unquote(text)
    if not name or "\x00" in name:
        raise ValueError(f"the URL names no {what}: postgresql://user@host/database")
    return name


def _connections(text: str | None) -> int:
    if text is None:
        return DEFAULT_CONNECTIONS
    if not text.isdecimal() or not MIN_CONNECTIONS <= int(text) <= MAX_CONNECTIONS:
        raise ValueError(f"connections is a number from {MIN_CONNECTIONS} to {MAX_CONNECTIONS}")
    return int(text)
