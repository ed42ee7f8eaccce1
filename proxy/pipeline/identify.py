"""Agents that say who they are with a token of another issuer: OIDC, Kubernetes, SPIFFE.

Detent is a resource server here (RFC 6750): it verifies the token, maps its claims to a principal
by the configuration, and forgets it. The token goes nowhere else. No mapping, no principal.
"""

import hashlib
import logging
import re
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from credentials.agent_token import (
    TokenRefused,
    TrustedIssuer,
    issuer_of,
    parse_agent_token,
    verify,
)
from credentials.key_cache import KeyCache, KeysUnavailable
from proxy.errors import Refused
from proxy.model.session import Mode, Principal

log = logging.getLogger(__name__)

CACHED_S = 10.0
MAX_CACHED = 4_096

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,62}")
ClaimPath = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ClaimRule:
    """Which claims name an agent; a path leads into nested objects.

    `tenants` are those the issuer may speak for, exactly one when no claim names it; `roles` are
    the most it can give, all of them when no claim names any.
    """

    agent: ClaimPath
    tenants: frozenset[str]
    tenant: ClaimPath = ()
    roles_claim: ClaimPath = ()
    roles: frozenset[str] = frozenset()
    max_mode: Mode = Mode.READ_WRITE
    dry_run: bool = False

    def principal(self, claims: Mapping[str, Any]) -> Principal | None:
        """Return whom the claims name, None when a name is missing, odd or not this issuer's."""
        agent = _name(_at(claims, self.agent))
        tenant = _name(_at(claims, self.tenant)) if self.tenant else next(iter(self.tenants))
        if agent is None or tenant not in self.tenants:
            return None
        given = (
            self.roles & _words(_at(claims, self.roles_claim)) if self.roles_claim else self.roles
        )
        return Principal(tenant, agent, tuple(sorted(given)), self.max_mode, self.dry_run)


@dataclass(frozen=True, slots=True)
class Issuer:
    """One issuer: what its tokens must be, its keys, and who its subjects (`sub`) are here."""

    rules: TrustedIssuer
    keys: KeyCache
    subjects: Mapping[str, Principal] = field(default_factory=dict)
    claims: ClaimRule | None = None


@dataclass(frozen=True, slots=True)
class _Proof:
    """A principal, and until when (Unix seconds) what proved it holds."""

    principal: Principal
    until_s: float


class Identities:
    """Verifies tokens of the configured issuers.

    `reserved` are the (tenant, agent) that the configuration names itself: no claim can take one.
    `clock` gives Unix seconds.
    """

    def __init__(
        self,
        issuers: Iterable[Issuer] = (),
        reserved: Collection[tuple[str, str]] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._issuers = {issuer.rules.issuer: issuer for issuer in issuers}
        self._reserved = frozenset(reserved)
        self._clock = clock
        self._verified: dict[str, tuple[_Proof, float]] = {}
        self._proved: dict[tuple[str, str], _Proof] = {}

    async def principal(self, token: str) -> Principal:
        """Return whom a token stands for.

        Raises Refused: not-authenticated, identity-unavailable (the issuer's keys cannot be had).
        """
        digest, now_s = hashlib.sha256(token.encode()).hexdigest(), self._clock()
        proof, until_s = self._verified.get(digest, (None, 0.0))
        if proof is None or not now_s < until_s:
            proof = await self._prove(token, now_s)
            _remember(self._verified, digest, (proof, min(proof.until_s, now_s + CACHED_S)))
        owner = (proof.principal.tenant, proof.principal.agent)
        _remember(self._proved, owner, proof)
        return proof.principal

    def proved(self, tenant: str, agent: str) -> Principal | None:
        """Return a principal as its last token proved it, as long as that token is valid.

        This is whom a session token of such an agent stands for: the session does not outlive what
        its issuer said.
        """
        proof = self._proved.get((tenant, agent))
        return proof.principal if proof and self._clock() < proof.until_s else None

    async def close(self) -> None:
        """Give up what is being fetched."""
        for issuer in self._issuers.values():
            await issuer.keys.close()

    async def _prove(self, token: str, now_s: float) -> _Proof:
        named = ""
        try:
            parsed = parse_agent_token(token)
            issuer = self._issuer(issuer_of(parsed))
            named = issuer.rules.issuer
            key = await issuer.keys.find(parsed.kid, parsed.algorithm)
            claims = verify(parsed, issuer.rules, key, now_s)
            principal = self._mapped(issuer, claims)
        except TokenRefused as refused:
            log.warning("agent refused: %s", refused.code, extra={"issuer": named})
            raise Refused.because("not-authenticated") from None
        except KeysUnavailable as problem:
            log.error("keys of an issuer: %s", problem, extra={"issuer": named})
            raise Refused.because("identity-unavailable") from None
        return _Proof(principal, claims["exp"] + issuer.rules.leeway_s)

    def _issuer(self, name: str) -> Issuer:
        issuer = self._issuers.get(name)
        if issuer is None:
            raise TokenRefused("wrong-issuer")
        return issuer

    def _mapped(self, issuer: Issuer, claims: Mapping[str, Any]) -> Principal:
        subject = claims.get("sub")
        known = issuer.subjects.get(subject) if isinstance(subject, str) else None
        if known is not None:
            return known
        named = issuer.claims.principal(claims) if issuer.claims else None
        if named is None or (named.tenant, named.agent) in self._reserved:
            raise TokenRefused("nobody-here")
        return named


def _remember(memory: dict[Any, Any], key: object, value: object) -> None:
    """Keep the newest entries; the oldest makes room."""
    memory.pop(key, None)
    if len(memory) >= MAX_CACHED:
        memory.pop(next(iter(memory)))
    memory[key] = value


def _at(claims: Mapping[str, Any], path: ClaimPath) -> object:
    value: object = claims
    for member in path:
        value = value.get(member) if isinstance(value, Mapping) else None
    return value


def _name(value: object) -> str | None:
    return value if isinstance(value, str) and _NAME.fullmatch(value) else None


def _words(value: object) -> frozenset[str]:
    """Return the words of a list of strings, or of one string as OAuth writes scopes."""
    if isinstance(value, str):
        return frozenset(value.split(" "))
    if isinstance(value, list):
        return frozenset(word for word in value if isinstance(word, str))
    return frozenset()
