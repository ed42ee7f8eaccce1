"""Sessions as agents with hooks name them, and the tool uses that join a hook to a call."""

from datetime import datetime, timedelta
from functools import partial

from proxy.errors import Refused
from proxy.model.hook import HookKey
from proxy.model.session import Session
from proxy.stores.postgres.connections import Connection
from proxy.stores.postgres.database import Tables
from proxy.stores.postgres.sessions import store_session
from proxy.stores.rows import micros, session_of

IDLE = timedelta(hours=1)
KEPT = timedelta(hours=24)

_QUEUE = "SELECT queue_for_agent($1, $2)"
_NAMED = """
SELECT session_rows.* FROM hook_sessions
JOIN session_rows ON session_rows.id = hook_sessions.session_id
WHERE hook_sessions.tenant = $1 AND hook_sessions.agent = $2
      AND client = $3 AND client_session = $4
"""
_NAME = """
INSERT INTO hook_sessions (tenant, agent, client, client_session, session_id)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (tenant, agent, client, client_session)
DO UPDATE SET session_id = excluded.session_id
"""
_END_IDLE = """
UPDATE sessions SET state = 'ended', ended_at = $3
WHERE tenant = $1 AND agent = $2 AND NOT implicit AND state = 'open' AND opened_at < $4
      AND id IN (SELECT session_id FROM hook_sessions WHERE tenant = $1 AND agent = $2)
      AND NOT EXISTS (SELECT 1 FROM steps WHERE steps.session_id = sessions.id AND at >= $4)
"""
_ANNOUNCE = """
WITH forgotten AS (DELETE FROM tool_uses WHERE at < $6)
INSERT INTO tool_uses (tenant, agent, tool_use_id, session_id, at) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (tenant, agent, tool_use_id) DO NOTHING
"""
_CARRY = """
UPDATE tool_uses SET carried = true WHERE tenant = $1 AND agent = $2 AND tool_use_id = $3
"""
_ANNOUNCED_IN = """
SELECT session_rows.* FROM tool_uses
JOIN session_rows ON session_rows.id = tool_uses.session_id
WHERE tool_uses.tenant = $1 AND tool_uses.agent = $2 AND tool_use_id = $3
"""
_CARRIED = "SELECT carried FROM tool_uses WHERE tenant = $1 AND agent = $2 AND tool_use_id = $3"


class HookTables(Tables):
    """The port's Hooks."""

    async def hook_session(self, tenant: str, agent: str, key: HookKey) -> Session | None:
        """See the port."""
        rows = await self._database.fetch(_NAMED, tenant, agent, key.client, key.session)
        return session_of(tuple(rows[0])) if rows else None

    async def open_hook_session(self, session: Session, key: HookKey, cap: int) -> Session:
        """See the port."""
        return await self._database.transaction(partial(_open, session=session, key=key, cap=cap))

    async def announce(self, session: Session, tool_use_id: str, at: datetime) -> None:
        """See the port; what is older than a day is forgotten."""
        use = (session.tenant, session.agent, tool_use_id, session.id, micros(at))
        await self._database.write(_ANNOUNCE, *use, micros(at - KEPT))

    async def carry(self, tenant: str, agent: str, tool_use_id: str) -> Session | None:
        """See the port. A tool use nobody announced costs one point read."""
        use = (tenant, agent, tool_use_id)
        rows = await self._database.fetch(_ANNOUNCED_IN, *use)
        if not rows:
            return None
        await self._database.write(_CARRY, *use)
        return session_of(tuple(rows[0]))

    async def is_carried(self, tenant: str, agent: str, tool_use_id: str) -> bool | None:
        """See the port."""
        rows = await self._database.fetch(_CARRIED, tenant, agent, tool_use_id)
        return bool(rows[0][0]) if rows else None


async def _open(connection: Connection, session: Session, key: HookKey, cap: int) -> Session:
    """Open a session under a name; two that race get the same one.

    An agent program that crashed never ended its session: with too many of them, the idle ones go.
    """
    owner = (session.tenant, session.agent)
    name = (*owner, key.client, key.session)
    await connection.fetch(_QUEUE, *owner)
    rows = await connection.fetch(_NAMED, *name)
    standing = session_of(tuple(rows[0])) if rows else None
    if standing is not None and standing.is_open_at(session.opened_at):
        return standing
    opened_at = session.opened_at
    try:
        opened = await store_session(connection, session, None, cap)
    except Refused:
        await connection.fetch(_END_IDLE, *owner, micros(opened_at), micros(opened_at - IDLE))
        opened = await store_session(connection, session, None, cap)
    await connection.fetch(_NAME, *name, opened.id)
    return opened
