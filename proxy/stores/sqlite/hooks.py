"""Sessions as agents with hooks name them, and the tool uses that join a hook to a call."""

import sqlite3
from datetime import datetime, timedelta
from functools import partial

from proxy.errors import Refused
from proxy.model.hook import HookKey
from proxy.model.session import Session
from proxy.stores.rows import micros, session_of
from proxy.stores.sqlite import sessions
from proxy.stores.sqlite.database import Tables

IDLE = timedelta(hours=1)
KEPT = timedelta(hours=24)

_NAMED = """
SELECT session_rows.* FROM hook_sessions
JOIN session_rows ON session_rows.id = hook_sessions.session_id
WHERE hook_sessions.tenant = ? AND hook_sessions.agent = ?
      AND client = ? AND client_session = ?
"""
_NAME = """
INSERT INTO hook_sessions (tenant, agent, client, client_session, session_id)
VALUES (?, ?, ?, ?, ?)
ON CONFLICT (tenant, agent, client, client_session)
DO UPDATE SET session_id = excluded.session_id
"""
_END_IDLE = """
UPDATE sessions SET state = 'ended', ended_at = :at
WHERE tenant = :tenant AND agent = :agent AND implicit = 0 AND state = 'open'
      AND opened_at < :idle
      AND id IN (SELECT session_id FROM hook_sessions WHERE tenant = :tenant AND agent = :agent)
      AND NOT EXISTS (SELECT 1 FROM steps WHERE steps.session_id = sessions.id AND at >= :idle)
"""
_FORGET = "DELETE FROM tool_uses WHERE at < ?"
_ANNOUNCE = """
INSERT INTO tool_uses (tenant, agent, tool_use_id, session_id, at) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (tenant, agent, tool_use_id) DO NOTHING
"""
_CARRY = """
UPDATE tool_uses SET carried = 1 WHERE tenant = ? AND agent = ? AND tool_use_id = ?
"""
_ANNOUNCED_IN = """
SELECT session_rows.* FROM tool_uses
JOIN session_rows ON session_rows.id = tool_uses.session_id
WHERE tool_uses.tenant = ? AND tool_uses.agent = ? AND tool_use_id = ?
"""
_CARRIED = "SELECT carried FROM tool_uses WHERE tenant = ? AND agent = ? AND tool_use_id = ?"


class HookTables(Tables):
    """The port's Hooks."""

    async def hook_session(self, tenant: str, agent: str, key: HookKey) -> Session | None:
        """See the port."""
        owner = (tenant, agent, key.client, key.session)
        return self._database.read(partial(_session, sql=_NAMED, key=owner))

    async def open_hook_session(self, session: Session, key: HookKey, cap: int) -> Session:
        """See the port."""
        return await self._database.write(partial(_open, session=session, key=key, cap=cap))

    async def announce(self, session: Session, tool_use_id: str, at: datetime) -> None:
        """See the port; what is older than a day is forgotten."""
        use = (session.tenant, session.agent, tool_use_id, session.id, micros(at))
        await self._database.write(partial(_announce, use=use, oldest_us=micros(at - KEPT)))

    async def carry(self, tenant: str, agent: str, tool_use_id: str) -> Session | None:
        """See the port. A tool use nobody announced costs one point read."""
        use = (tenant, agent, tool_use_id)
        session = self._database.read(partial(_session, sql=_ANNOUNCED_IN, key=use))
        if session is not None:
            await self._database.write(partial(_carry, use=use))
        return session

    async def is_carried(self, tenant: str, agent: str, tool_use_id: str) -> bool | None:
        """See the port."""
        return self._database.read(partial(_is_carried, use=(tenant, agent, tool_use_id)))


def _session(connection: sqlite3.Connection, sql: str, key: tuple[str, ...]) -> Session | None:
    rows = connection.execute(sql, key).fetchall()
    return session_of(rows[0]) if rows else None


def _open(connection: sqlite3.Connection, session: Session, key: HookKey, cap: int) -> Session:
    """Open a session under a name; two that race get the same one.

    An agent program that crashed never ended its session: with too many of them, the idle ones go.
    """
    owner = (session.tenant, session.agent, key.client, key.session)
    standing = _session(connection, _NAMED, owner)
    if standing is not None and standing.is_open_at(session.opened_at):
        return standing
    idle = {
        "tenant": session.tenant,
        "agent": session.agent,
        "at": micros(session.opened_at),
        "idle": micros(session.opened_at - IDLE),
    }
    try:
        opened = sessions.store_session(connection, session, None, cap)
    except Refused:
        connection.execute(_END_IDLE, idle)
        opened = sessions.store_session(connection, session, None, cap)
    connection.execute(_NAME, (*owner, opened.id))
    return opened


def _announce(
    connection: sqlite3.Connection, use: tuple[str, str, str, str, int], oldest_us: int
) -> None:
    connection.execute(_FORGET, (oldest_us,))
    connection.execute(_ANNOUNCE, use)


def _carry(connection: sqlite3.Connection, use: tuple[str, str, str]) -> None:
    connection.execute(_CARRY, use)


def _is_carried(connection: sqlite3.Connection, use: tuple[str, str, str]) -> bool | None:
    rows = connection.execute(_CARRIED, use).fetchall()
    return bool(rows[0][0]) if rows else None
