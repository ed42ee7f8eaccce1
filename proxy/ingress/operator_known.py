"""Whether there is anything of a scope: a kill of a name nobody has stops nobody."""

import asyncio
from collections.abc import Callable, Iterable

from proxy.errors import StoreUnavailable
from proxy.ingress.operator_requests import MAX_ROWS
from proxy.model.kill import Scope, ScopeKind
from proxy.stores.base import Sessions

TIMEOUT_S = 0.5
UNKNOWN = "Nothing known here has this scope; check its spelling. The kill holds all the same."


class KnownScopes:
    """`configured` gives the tenants, agents and tools there are; the ledger knows the rest."""

    def __init__(self, configured: Callable[[], frozenset[Scope]], sessions: Sessions) -> None:
        self._configured = configured
        self._sessions = sessions

    async def match(self, scopes: Iterable[Scope]) -> bool | None:
        """Return whether each of these scopes is known; None when the ledger does not say."""
        try:
            async with asyncio.timeout(TIMEOUT_S):  # the answer to a kill waits for it
                return all([await self._is_known(scope) for scope in scopes])
        except (StoreUnavailable, TimeoutError):
            return None

    async def _is_known(self, scope: Scope) -> bool:
        if scope.kind is ScopeKind.GLOBAL or scope in self._configured():
            return True
        if scope.kind is ScopeKind.SESSION:
            return await self._sessions.session(scope.id) is not None
        if scope.kind is ScopeKind.TOOL:
            return False
        tenant, _, agent = scope.id.partition("/")
        found = await self._sessions.sessions(MAX_ROWS, (tenant,))
        return any(agent in ("", session.agent) for session in found)
