"""Sidecars that say who they are with a token of another issuer: projected service account tokens.

The kubelet renews such a token long before its end, and the sidecar shows it anew at each request;
what is verified is remembered for seconds. The audience is one that agents' tokens never have.
"""

import hashlib
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from credentials.agent_token import (
    TokenRefused,
    TrustedIssuer,
    issuer_of,
    parse_agent_token,
    verify,
)
from credentials.key_cache import KeyCache, KeysUnavailable
from proxy.errors import Refused
from proxy.model.sidecar import Sidecar

log = logging.getLogger(__name__)

CACHED_S = 10.0
MAX_CACHED = 20_480


@dataclass(frozen=True, slots=True)
class SidecarIssuer:
    """One issuer: what its tokens must be, its keys, and who its subjects (`sub`) are here."""

    rules: TrustedIssuer
    keys: KeyCache
    subjects: Mapping[str, Sidecar]


class SidecarTokens:
    """Verifies tokens of the configured issuers. `clock` gives Unix seconds."""

    def __init__(
        self, issuers: Iterable[SidecarIssuer] = (), clock: Callable[[], float] = time.time
    ) -> None:
        self._issuers = {issuer.rules.issuer: issuer for issuer in issuers}
        self._clock = clock
        self._verified: dict[str, tuple[Sidecar, float]] = {}

    async def sidecar(self, token: str) -> Sidecar | None:
        """Return whom a token stands for, None for nobody.

        Raises Refused: identity-unavailable, when the issuer's keys cannot be had.
        """
        known = self.remembered(token)
        if known is not None:
            return known
        digest, now_s = hashlib.sha256(token.encode()).hexdigest(), self._clock()
        try:
            known, until_s = await self._prove(token, now_s)
        except TokenRefused as refused:
            log.warning("sidecar refused: %s", refused.code)
            return None
        except KeysUnavailable as problem:
            log.error("keys of an issuer of sidecars: %s", problem)
            raise Refused.because("identity-unavailable") from None
        self._remember(digest, known, min(until_s, now_s + CACHED_S))
        return known

    def remembered(self, token: str) -> Sidecar | None:
        """Return whom a token stands for that was verified a moment ago, None for any other."""
        digest = hashlib.sha256(token.encode()).hexdigest()
        known, until_s = self._verified.get(digest, (None, 0.0))
        return known if self._clock() < until_s else None

    async def close(self) -> None:
        """Give up what is being fetched."""
        for issuer in self._issuers.values():
            await issuer.keys.close()

    async def _prove(self, token: str, now_s: float) -> tuple[Sidecar, float]:
        parsed = parse_agent_token(token)
        issuer = self._issuers.get(issuer_of(parsed))
        if issuer is None:
            raise TokenRefused("wrong-issuer")
        key = await issuer.keys.find(parsed.kid, parsed.algorithm)
        claims = verify(parsed, issuer.rules, key, now_s)
        subject = claims.get("sub")
        known = issuer.subjects.get(subject) if isinstance(subject, str) else None
        if known is None:
            raise TokenRefused("nobody-here")
        return known, claims["exp"] + issuer.rules.leeway_s

    def _remember(self, digest: str, sidecar: Sidecar, until_s: float) -> None:
        """Keep the newest; the oldest makes room."""
        self._verified.pop(digest, None)
        if len(self._verified) >= MAX_CACHED:
            self._verified.pop(next(iter(self._verified)))
        self._verified[digest] = (sidecar, until_s)
