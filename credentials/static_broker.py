"""The `static` broker: one long-lived key in a header, for tools that know nothing better.

The key is not bound to the call, so a grant of writes needs the policy author's explicit consent.
"""

import re
import time
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType

from credentials import bounds
from credentials.base import (
    BrokerMisconfigured,
    BrokerUnavailable,
    GrantRefused,
    Lease,
    LeaseRequest,
)
from credentials.secret_source import SecretSource

# RFC 9110 section 5.6.2, token.
_FIELD_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")
# Framing, routing, state and identity: a key in one of these would change the request itself.
_RESERVED = frozenset(
    {"connection", "content-encoding", "content-length", "content-type", "expect", "host"}
    | {"http2-settings", "keep-alive", "max-forwards", "proxy-connection", "range", "te", "trailer"}
    | {"transfer-encoding", "upgrade", "accept", "accept-encoding", "date", "idempotency-key"}
    | {"cookie", "set-cookie", "origin", "referer", "user-agent", "forwarded", "via", "x-real-ip"}
    | {"proxy-authenticate", "proxy-authorization", "www-authenticate"}
)
_RESERVED_PREFIXES = ("x-forwarded-", "x-detent-", "mcp-", "sec-", "access-control-")


@dataclass(slots=True, eq=False)
class StaticBroker:
    """Puts `prefix` + the secret of `source` into `header`; `clock` gives Unix seconds.

    `allow_writes` is the policy author's consent to use this key for calls that change something.
    Raises BrokerMisconfigured for a header, prefix or secret that must not be used.
    """

    name: str
    header: str
    prefix: str
    source: SecretSource = field(repr=False)
    _: KW_ONLY
    allow_writes: bool = False
    clock: Callable[[], float] = field(default=time.time, repr=False)
    is_fenced: bool = field(default=False, init=False)
    _seen: tuple[str, ...] = field(default=(), init=False, repr=False)

    def __post_init__(self) -> None:
        _check_header(self.header)
        if self.prefix and not (self.prefix.isascii() and self.prefix.isprintable()):
            raise BrokerMisconfigured(f"the prefix of {self.header!r} must be printable ASCII")
        self._current()

    def preview(self, request: LeaseRequest) -> dict[str, object]:
        """Name the header, never its value. Raises GrantRefused."""
        self._check(request)
        return {
            "broker": self.name,
            "minted": False,
            "header": self.header,
            "ttl_s": request.ttl_s,
            "note": "static key, not scoped to the call",
        }

    async def mint(self, request: LeaseRequest) -> Lease:
        """Lend the key; its expiry is nominal. Raises GrantRefused, BrokerUnavailable."""
        self._check(request)
        try:
            secret = self._current()
        except BrokerMisconfigured as failure:
            raise BrokerUnavailable(str(failure)) from None
        return Lease(
            id=request.lease_id,
            broker=self.name,
            expires_at=datetime.fromtimestamp(self.clock() + request.ttl_s, UTC),
            headers=MappingProxyType({self.header: self.prefix + secret}),
        )

    async def revoke(self, lease_id: str) -> None:
        """Nothing to take back: the key stays valid at the tool until a person replaces it."""

    def secrets(self) -> tuple[str, ...]:
        """Give the key in use and the one before it, for a redactor to mask."""
        return self._seen

    def _current(self) -> str:
        secret = self.source.read()
        if secret not in self._seen[:1]:
            self._seen = (secret, *self._seen[:1])
        return secret

    def _check(self, request: LeaseRequest) -> None:
        bounds.check_ttl(request.ttl_s)
        if request.write and not self.allow_writes:
            raise GrantRefused(
                f"{self.name!r} lends a static key for reads only: give the tool a scoped broker, "
                "or set allow_writes"
            )


def _check_header(header: str) -> None:
    folded = header.lower()
    if not _FIELD_NAME.fullmatch(header):
        raise BrokerMisconfigured("the header of a static key must be an HTTP field name")
    if folded in _RESERVED or folded.startswith(_RESERVED_PREFIXES):
        raise BrokerMisconfigured(f"{header!r} cannot carry a key: use Authorization or X-Api-Key")
