"""The `jwt` broker: a signed token for one call, made in memory (RFC 9068, RFC 9396).

A token says which tool with which arguments (by hash) it is for, so that it is worth nothing for
any other call. `credentials.verify` is its other half, for the resource server.
"""

import json
import math
import time
from collections.abc import Callable
from datetime import UTC, datetime
from types import MappingProxyType

import jwt

from credentials import bounds
from credentials.base import (
    BrokerMisconfigured,
    BrokerUnavailable,
    GrantRefused,
    Lease,
    LeaseRequest,
)
from credentials.call_token import ALGORITHM, DETAIL_TYPE, TOKEN_TYPE
from credentials.keys import KeyDirectory

# base64url adds a third; with header and signature the token stays under MAX_TOKEN_BYTES.
MAX_CLAIMS_BYTES = 5 * 1024
# Longest life of a token, and what clocks of verifiers that are behind may add to it.
_REMEMBERED_S = bounds.MAX_TTL_S + 30
_PER_S = 1_000  # `exp` is exact to the millisecond


class JwtBroker:
    """Signs one call token a call with the active key of `keys`; `clock` gives Unix seconds.

    `issuer` becomes `iss`, usually the gateway's public URL. Raises BrokerMisconfigured when it is
    empty or not printable.
    """

    is_fenced = True

    def __init__(
        self,
        keys: KeyDirectory,
        issuer: str,
        clock: Callable[[], float] = time.time,
        name: str = "jwt",
    ) -> None:
        if not issuer or not issuer.isprintable() or " " in issuer:
            raise BrokerMisconfigured("the issuer must be the gateway's URL or name, without space")
        self.name = name
        self._keys = keys
        self._issuer = issuer
        self._clock = clock
        self._jws = jwt.PyJWS(algorithms=[ALGORITHM])
        self._revoked: dict[str, float] = {}

    def preview(self, request: LeaseRequest) -> dict[str, object]:
        """Describe the token: its claims without id, times and signature. Raises GrantRefused."""
        claims = self._claims(request)
        _payload(claims)
        return {
            "broker": self.name,
            "minted": False,
            "type": TOKEN_TYPE,
            "ttl_s": request.ttl_s,
            "note": "ends with the kill lease, and after ttl_s at the latest",
            "claims": {name: claim for name, claim in claims.items() if name != "jti"},
        }

    async def mint(self, request: LeaseRequest) -> Lease:
        """Sign the token of one call; `Authorization: Bearer` (RFC 6750).

        Raises GrantRefused, BrokerUnavailable when `ends_by_s` has passed.
        """
        if self.is_revoked(request.lease_id):
            raise GrantRefused("this lease was revoked; a new attempt takes a new lease id")
        claims = self._claims(request)
        now = self._clock()
        issued, expires = int(now), _expires(request, now)
        times = {"iat": issued, "nbf": issued, "exp": expires}
        payload = _payload(claims | times)
        key = self._keys.active
        token = self._jws.encode(
            payload, key.private, ALGORITHM, headers={"typ": TOKEN_TYPE, "kid": key.kid}
        )
        return Lease(
            id=request.lease_id,
            broker=self.name,
            expires_at=datetime.fromtimestamp(expires, UTC),
            headers=MappingProxyType({"Authorization": f"Bearer {token}"}),
        )

    async def revoke(self, lease_id: str) -> None:
        """Remember that a token is no longer good, until no verifier would take it anyway.

        The token itself stays valid at resources that do not ask: its short life, its single use
        and the epoch are what stops it there.
        """
        now = self._clock()
        self._forget(now)
        self._revoked.setdefault(lease_id, now + _REMEMBERED_S)

    def is_revoked(self, jti: str) -> bool:
        """Whether a token of the last 90 s was revoked, for introspection (RFC 7662)."""
        self._forget(self._clock())
        return jti in self._revoked

    def _forget(self, now: float) -> None:
        # Oldest first, because every entry is kept for the same time.
        while self._revoked:
            oldest = next(iter(self._revoked))
            if self._revoked[oldest] > now:
                return
            del self._revoked[oldest]

    def _claims(self, request: LeaseRequest) -> dict[str, object]:
        _check(request)
        return {
            "iss": self._issuer,
            "aud": request.audience,
            "sub": request.subject,
            # RFC 8693 section 4.1: who acts; without a delegating user it is the subject itself.
            "act": {"sub": request.subject},
            "client_id": request.subject,
            "jti": request.lease_id,
            "sid": request.session_id,
            "txn": request.step_id,
            "scope": " ".join(request.scope),
            "authorization_details": [
                {
                    "type": DETAIL_TYPE,
                    "tool": request.tool,
                    "args_sha256": request.arguments_sha256,
                }
            ],
            "args_sha256": request.arguments_sha256,
            "tool_def_sha256": request.tool_pin,
            "policy_rev": request.policy_revision,
            "decision_id": request.decision_id,
            "epoch": request.epoch,
        }


def _expires(request: LeaseRequest, now: float) -> float:
    """Return `exp`, a NumericDate with a fraction (RFC 7519 section 2); rounded down, never up."""
    expires = int(now) + request.ttl_s
    if request.ends_by_s >= expires:
        return expires
    if request.ends_by_s <= now:
        raise BrokerUnavailable("no token can be good now: what it has to end with has ended")
    return math.floor(request.ends_by_s * _PER_S) / _PER_S


def _check(request: LeaseRequest) -> None:
    bounds.check_ttl(request.ttl_s)
    bounds.check_epoch(request.epoch)
    bounds.check_audience(request.audience)
    bounds.check_scope(request.scope)
    bounds.check_sha256("arguments_sha256", request.arguments_sha256)
    for name, text in (
        ("lease_id", request.lease_id),
        ("step_id", request.step_id),
        ("session_id", request.session_id),
        ("subject", request.subject),
        ("tool", request.tool),
        ("tool_pin", request.tool_pin),
        ("policy_revision", request.policy_revision),
        ("decision_id", request.decision_id),
    ):
        bounds.check_text(name, text)


def _payload(claims: dict[str, object]) -> bytes:
    payload = json.dumps(claims, separators=(",", ":")).encode("ascii")
    if len(payload) > MAX_CLAIMS_BYTES:
        raise GrantRefused("the call's claims are too large for one token: shorten scope or names")
    return payload
