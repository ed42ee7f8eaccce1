"""Verify call tokens at a resource server; nothing of the gateway is needed for it.

    verifier = Verifier(jwks=fetch_jwks, issuer="https://detent.example", audience="https://records",
                        epoch_floor=lambda call: floors.get("global", 0))
    call = verifier.verify(token, tool="records/update", arguments=canonical_bytes)

The checks stand in `Verifier.verify`, in their order. RFC 9068 section 4 and RFC 8725 (JWT
best current practices), narrowed to what the `jwt` broker signs.
"""

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import jwt

from credentials.call_token import (
    ALGORITHM,
    DETAIL_TYPE,
    MAX_LIFETIME_S,
    InvalidToken,
    ParsedToken,
    parse,
)
from credentials.jwks import find_key
from credentials.replay import ReplayCache, ReplayCacheFull

__all__ = ["InvalidToken", "ReplayCache", "ReplayCacheFull", "VerifiedCall", "Verifier"]

MAX_LEEWAY_S = 30
# Chosen here, once: no token has a say in how it is verified.
_ES256 = jwt.get_algorithm_by_name(ALGORITHM)
_TEXT_CLAIMS = (
    "iss", "aud", "sub", "client_id", "jti", "sid", "txn", "scope",
    "args_sha256", "tool_def_sha256", "policy_rev", "decision_id",
)  # fmt: skip
_NUMBER_CLAIMS = ("iat", "nbf", "epoch")
_REQUIRED = frozenset((*_TEXT_CLAIMS, *_NUMBER_CLAIMS, "exp", "act", "authorization_details"))

Jwks = Mapping[str, Any]


class Once(Protocol):
    """Remembers used token ids; `ReplayCache` is the one for a single process."""

    def claim(self, jti: str, until_s: float, now_s: float) -> bool:
        """Whether this is the first use. Raises ReplayCacheFull."""
        ...


@dataclass(frozen=True, slots=True)
class VerifiedCall:
    """What a valid token says. Times in Unix seconds; `tool` is `server/tool`.

    `subject` is whom the call is for, `actor` the agent that makes it.
    """

    subject: str
    actor: str
    client_id: str
    lease_id: str
    session_id: str
    step_id: str
    scope: tuple[str, ...]
    tool: str
    arguments_sha256: str
    tool_pin: str
    policy_revision: str
    decision_id: str
    epoch: int
    issued_at_s: int
    not_before_s: int
    expires_at_s: float


@dataclass(frozen=True, slots=True)
class Verifier:
    """Verifies the call tokens of one issuer for one audience.

    `jwks` is the issuer's key set, or a function that gives the current one. `epoch_floor` gives
    the lowest epoch still accepted for a call: the highest kill that covers it. `clock` gives Unix
    seconds; `leeway_s` (0 to 30) forgives a gateway whose clock is ahead, at a token's beginning.
    A token's end is never stretched: it is that of the gateway's kill lease. What `jwks` or
    `epoch_floor` raise passes through: the call is not verified.
    """

    jwks: Jwks | Callable[[], Jwks]
    issuer: str
    audience: str
    epoch_floor: Callable[[VerifiedCall], int]
    once: Once = field(default_factory=ReplayCache)
    clock: Callable[[], float] = time.time
    leeway_s: int = 5

    def __post_init__(self) -> None:
        if not 0 <= self.leeway_s <= MAX_LEEWAY_S:
            raise ValueError(f"leeway_s must be 0 to {MAX_LEEWAY_S}")
        if not self.issuer or not self.audience:
            raise ValueError("issuer and audience must be given")

    def verify(
        self, token: str, *, arguments: bytes | None = None, tool: str | None = None
    ) -> VerifiedCall:
        """Give the call that a token was minted for, and use the token up.

        `arguments` is the RFC 8785 form of the arguments received, `tool` the tool about to run:
        give both, or the token is good for any call of this audience. Raises InvalidToken.
        """
        parsed = parse(token)
        self._check_signature(parsed)
        self._check_parties(parsed.claims)
        call = _read(parsed.claims)
        self._check_times(call)
        if call.epoch < self.epoch_floor(call):
            raise InvalidToken("epoch-stale")
        if tool is not None and tool != call.tool:
            raise InvalidToken("tool-mismatch")
        if arguments is not None and hashlib.sha256(arguments).hexdigest() != call.arguments_sha256:
            raise InvalidToken("arguments-mismatch")
        self._use_up(call)
        return call

    def _check_signature(self, parsed: ParsedToken) -> None:
        document = self.jwks() if callable(self.jwks) else self.jwks
        key = find_key(document, parsed.kid)
        if key is None:
            raise InvalidToken("unknown-key")
        if not _ES256.verify(parsed.signed, key, parsed.signature):
            raise InvalidToken("bad-signature")

    def _check_parties(self, claims: Mapping[str, Any]) -> None:
        if not claims.keys() >= _REQUIRED:
            raise InvalidToken("claim-missing")
        if "cnf" in claims:
            # RFC 7800: bound to a key whose proof is not checked here.
            raise InvalidToken("proof-required")
        if claims["iss"] != self.issuer:
            raise InvalidToken("wrong-issuer")
        # One string: a list, even of one, is no audience of ours.
        if claims["aud"] != self.audience:
            raise InvalidToken("wrong-audience")

    def _check_times(self, call: VerifiedCall) -> None:
        now = self.clock()
        if not 0 < call.expires_at_s - call.issued_at_s <= MAX_LIFETIME_S:
            raise InvalidToken("lifetime-refused")
        if max(call.issued_at_s, call.not_before_s) > now + self.leeway_s:
            raise InvalidToken("not-yet-valid")
        if call.expires_at_s <= now:
            raise InvalidToken("expired")

    def _use_up(self, call: VerifiedCall) -> None:
        try:
            first = self.once.claim(call.lease_id, call.expires_at_s, self.clock())
        except ReplayCacheFull:
            raise InvalidToken("replay-cache-full") from None
        if not first:
            raise InvalidToken("replayed")


def _read(claims: Mapping[str, Any]) -> VerifiedCall:
    # `type`, not isinstance: true is an int in Python, and 1.0 or "1" are not what we sign.
    texts = all(type(claims[name]) is str and claims[name] for name in _TEXT_CLAIMS)
    numbers = all(type(claims[name]) is int and claims[name] >= 0 for name in _NUMBER_CLAIMS)
    if not (texts and numbers and type(claims["exp"]) in (int, float)):
        raise InvalidToken("claim-invalid")
    return VerifiedCall(
        subject=claims["sub"],
        actor=_actor(claims["act"]),
        client_id=claims["client_id"],
        lease_id=claims["jti"],
        session_id=claims["sid"],
        step_id=claims["txn"],
        scope=tuple(claims["scope"].split(" ")),
        tool=_tool(claims["authorization_details"], claims["args_sha256"]),
        arguments_sha256=claims["args_sha256"],
        tool_pin=claims["tool_def_sha256"],
        policy_revision=claims["policy_rev"],
        decision_id=claims["decision_id"],
        epoch=claims["epoch"],
        issued_at_s=claims["iat"],
        not_before_s=claims["nbf"],
        expires_at_s=claims["exp"],
    )


def _actor(act: object) -> str:
    actor = act.get("sub") if isinstance(act, dict) else None
    if not isinstance(actor, str):
        raise InvalidToken("claim-invalid")
    return actor


def _tool(details: object, arguments_sha256: str) -> str:
    """Read the one RFC 9396 detail, which must name the same arguments as the claim."""
    detail = details[0] if isinstance(details, list) and len(details) == 1 else None
    if not isinstance(detail, dict):
        raise InvalidToken("claim-invalid")
    tool = detail.get("tool")
    expected = {"type": DETAIL_TYPE, "tool": tool, "args_sha256": arguments_sha256}
    if not isinstance(tool, str) or detail != expected:
        raise InvalidToken("claim-invalid")
    return tool
