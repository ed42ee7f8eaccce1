"""What follows an agent through all its sessions: locks, dry-run toggles."""

from datetime import datetime

from proxy.model.kill import Scope, ScopeKind
from proxy.stores.postgres.database import Tables
from proxy.stores.rows import micros, scope_key, scope_of

LOCK_REASON = "SELECT reason FROM agent_locks WHERE tenant = $1 AND agent = $2"
# After it returns no reservation of the agent commits: reservations queue for the agent as well.
_LOCK = """
WITH turn AS MATERIALIZED (SELECT queue_for_agent($1, $2))
INSERT INTO agent_locks (tenant, agent, reason, locked_at) SELECT $1, $2, $3, $4 FROM turn
ON CONFLICT (tenant, agent) DO NOTHING
"""
_UNLOCK = "DELETE FROM agent_locks WHERE tenant = $1 AND agent = $2 RETURNING 1"
_TOGGLE_ON = """
INSERT INTO dry_run_toggles (scope, actor, at) VALUES ($1, $2, $3)
ON CONFLICT (scope) DO UPDATE SET actor = excluded.actor, at = excluded.at
"""
_TOGGLE_OFF = "DELETE FROM dry_run_toggles WHERE scope = $1"
_TOGGLES = 'SELECT scope FROM dry_run_toggles ORDER BY scope COLLATE "C"'


class AgentTables(Tables):
    """Of the port's Sessions, what is about agents."""

    async def lock_agent(self, tenant: str, agent: str, reason: str, at: datetime) -> None:
        """See the port. The first reason stands."""
        await self._database.write(_LOCK, tenant, agent, reason, micros(at))

    async def unlock_agent(self, tenant: str, agent: str) -> bool:
        """See the port."""
        return bool(await self._database.write(_UNLOCK, tenant, agent))

    async def set_dry_run(self, scope: Scope, on: bool, actor: str, at: datetime) -> None:
        """See the port. Raises ValueError for a tool: its manifest says what it does."""
        if scope.kind is ScopeKind.TOOL:
            raise ValueError("Dry run is toggled for global, a tenant, an agent or a session.")
        if on:
            await self._database.write(_TOGGLE_ON, scope_key(scope), actor, micros(at))
        else:
            await self._database.write(_TOGGLE_OFF, scope_key(scope))

    async def dry_run_scopes(self) -> tuple[Scope, ...]:
        """See the port."""
        return tuple(scope_of(key) for (key,) in await self._database.fetch(_TOGGLES))
