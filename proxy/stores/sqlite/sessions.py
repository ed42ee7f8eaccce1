"""Sessions and their tokens, and the agents that own them."""

import asyncio
import json
import sqlite3
from collections.abc import Sequence
from datetime import datetime
from functools import partial

from proxy.errors import Refused
from proxy.model.kill import Scope
from proxy.model.ledger import Limits
from proxy.model.session import ALL_TENANTS, Session, SessionView
from proxy.stores.rows import micros, session_of, session_values
from proxy.stores.sqlite import agents
from proxy.stores.sqlite.database import Database, Tables
from proxy.stores.sqlite.view import view

MAX_CACHED_TOKENS = 10_000

_ISSUED_FOR = "SELECT * FROM session_rows WHERE token_sha256 = ?"
_BY_ID = "SELECT * FROM session_rows WHERE id = ?"
_IMPLICIT = """
SELECT * FROM session_rows
WHERE tenant = ? AND agent = ? AND implicit = 1 AND state = 'open' AND expires_at > ?
"""
_COUNT_OPEN = """
SELECT count(*) FROM sessions
WHERE tenant = ? AND agent = ? AND implicit = 0 AND state = 'open'
"""
_END_EXPIRED = """
UPDATE sessions SET state = 'ended', ended_at = expires_at
WHERE tenant = ? AND agent = ? AND state = 'open' AND expires_at <= ?
"""
_END = "UPDATE sessions SET state = 'ended', ended_at = ? WHERE id = ? AND state = 'open'"
_INSERT = """
INSERT INTO sessions (id, tenant, agent, mode, opened_at, expires_at, risk_limit, implicit,
                      purpose, state, token_sha256)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_NEWEST = "SELECT * FROM session_rows ORDER BY state DESC, opened_at DESC LIMIT ?"
_NEWEST_OF = """
SELECT * FROM session_rows WHERE tenant IN (SELECT value FROM json_each(?))
ORDER BY state DESC, opened_at DESC LIMIT ?
"""


class SessionTables(Tables):
    """The port's Sessions.

    Sessions are cached by token. The ledger belongs to one process, so only `end_session`
    changes a cached one before it expires, and that drops it here.
    """

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._by_token: dict[str, Session] = {}

    async def open_session(self, session: Session, token_sha256: str | None, cap: int) -> Session:
        """See the port. An implicit session that is open costs one point read and no write."""
        if session.implicit:
            standing = self._database.read(partial(_open_implicit, session=session))
            if standing is not None:
                return standing
        return await self._database.write(
            partial(store_session, session=session, token_sha256=token_sha256, cap=cap)
        )

    async def session_by_token(self, token_sha256: str) -> Session | None:
        """See the port. Unknown tokens are not cached, so guessing fills nothing."""
        known = self._by_token.get(token_sha256)
        if known is not None:
            return known
        session = self._database.read(partial(_one, sql=_ISSUED_FOR, key=token_sha256))
        if session is not None:
            if len(self._by_token) >= MAX_CACHED_TOKENS:
                self._by_token.pop(next(iter(self._by_token)))
            self._by_token[token_sha256] = session
        return session

    async def session(self, session_id: str) -> Session | None:
        """See the port."""
        return self._database.read(partial(_one, sql=_BY_ID, key=session_id))

    async def end_session(self, session_id: str, at: datetime) -> None:
        """See the port. Shielded: a caller that is cancelled leaves no open session cached."""
        await asyncio.shield(self._end_session(session_id, at))

    async def sessions(
        self, limit: int, tenants: Sequence[str] = (ALL_TENANTS,)
    ) -> tuple[Session, ...]:
        """See the port."""
        return await self._database.read_list(partial(_newest, limit=limit, tenants=tenants))

    async def view(self, session: Session, limits: Limits, at: datetime) -> SessionView:
        """See the port."""
        return self._database.read(partial(view, session=session, limits=limits, at=at))

    async def lock_agent(self, tenant: str, agent: str, reason: str, at: datetime) -> None:
        """See the port. The first reason stands."""
        await self._database.write(
            partial(agents.lock, tenant=tenant, agent=agent, reason=reason, at=at)
        )

    async def unlock_agent(self, tenant: str, agent: str) -> bool:
        """See the port."""
        return await self._database.write(partial(agents.unlock, tenant=tenant, agent=agent))

    async def set_dry_run(self, scope: Scope, on: bool, actor: str, at: datetime) -> None:
        """See the port. Raises ValueError for a tool."""
        await self._database.write(
            partial(agents.set_dry_run, scope=scope, on=on, actor=actor, at=at)
        )

    async def dry_run_scopes(self) -> tuple[Scope, ...]:
        """See the port."""
        return self._database.read(agents.dry_run_scopes)

    async def _end_session(self, session_id: str, at: datetime) -> None:
        tokens = await self._database.write(partial(_end, session_id=session_id, at_us=micros(at)))
        for token in tokens:
            self._by_token.pop(token, None)


def _one(connection: sqlite3.Connection, sql: str, key: str) -> Session | None:
    rows = connection.execute(sql, (key,)).fetchall()
    return session_of(rows[0]) if rows else None


def _newest(
    connection: sqlite3.Connection, limit: int, tenants: Sequence[str]
) -> tuple[Session, ...]:
    if ALL_TENANTS in tenants:
        found = connection.execute(_NEWEST, (limit,))
    else:
        found = connection.execute(_NEWEST_OF, (json.dumps([*tenants]), limit))
    return tuple(session_of(row) for row in found.fetchall())


def _open_implicit(connection: sqlite3.Connection, session: Session) -> Session | None:
    """Return the implicit session the agent has open. Raises Refused: agent-locked."""
    if agents.lock_reason(connection, session.tenant, session.agent) is not None:
        raise Refused.because("agent-locked")
    owner = (session.tenant, session.agent, micros(session.opened_at))
    rows = connection.execute(_IMPLICIT, owner).fetchall()
    return session_of(rows[0]) if rows else None


def store_session(
    connection: sqlite3.Connection, session: Session, token_sha256: str | None, cap: int
) -> Session:
    """Store a session, or return the implicit one that is open; see the port for refusals."""
    standing = _open_implicit(connection, session)
    if session.implicit and standing is not None:
        return standing
    owner = (session.tenant, session.agent)
    connection.execute(_END_EXPIRED, (*owner, micros(session.opened_at)))
    ((count,),) = connection.execute(_COUNT_OPEN, owner).fetchall()
    if not session.implicit and count >= cap:
        raise Refused.because("too-many-sessions")
    connection.execute(_INSERT, session_values(session, token_sha256))
    return session


def _end(connection: sqlite3.Connection, session_id: str, at_us: int) -> Sequence[str]:
    """End a session and return its token's hash, if it has one."""
    connection.execute(_END, (at_us, session_id))
    rows = connection.execute(_BY_ID, (session_id,)).fetchall()
    return [row[-1] for row in rows if row[-1] is not None]
