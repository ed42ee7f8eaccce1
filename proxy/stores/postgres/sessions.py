"""Sessions and their tokens.

Nothing is cached: another replica may end a session at any time, and what was read of it is read
again in the reservation.
"""

from collections.abc import Sequence
from datetime import datetime
from functools import partial

from proxy.errors import Refused
from proxy.model.ledger import Limits
from proxy.model.session import ALL_TENANTS, Session, SessionView
from proxy.stores.postgres.agents import LOCK_REASON, AgentTables
from proxy.stores.postgres.connections import Connection
from proxy.stores.postgres.view import read_view
from proxy.stores.rows import micros, session_of, session_values

_ISSUED_FOR = "SELECT * FROM session_rows WHERE token_sha256 = $1"
_BY_ID = "SELECT * FROM session_rows WHERE id = $1"
_QUEUE = "SELECT queue_for_agent($1, $2)"
_IMPLICIT = """
SELECT * FROM session_rows
WHERE tenant = $1 AND agent = $2 AND implicit AND state = 'open' AND expires_at > $3
"""
# One round trip for every call of an agent without a session token.
_STANDING = f"""
SELECT ({LOCK_REASON}), session_rows.* FROM (SELECT) AS always
LEFT JOIN session_rows ON tenant = $1 AND agent = $2 AND implicit AND state = 'open'
                          AND expires_at > $3
"""  # noqa: S608 - a statement of ours is all that is put in
_COUNT_OPEN = """
SELECT count(*) FROM sessions
WHERE tenant = $1 AND agent = $2 AND NOT implicit AND state = 'open'
"""
_END_EXPIRED = """
UPDATE sessions SET state = 'ended', ended_at = expires_at
WHERE tenant = $1 AND agent = $2 AND state = 'open' AND expires_at <= $3
"""
_END = "UPDATE sessions SET state = 'ended', ended_at = $2 WHERE id = $1 AND state = 'open'"
_INSERT = """
INSERT INTO sessions (id, tenant, agent, mode, opened_at, expires_at, risk_limit, implicit,
                      purpose, state, token_sha256)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
"""
_NEWEST = "SELECT * FROM session_rows ORDER BY state DESC, opened_at DESC LIMIT $1"
_NEWEST_OF = """
SELECT * FROM session_rows WHERE tenant = ANY ($2::text[])
ORDER BY state DESC, opened_at DESC LIMIT $1
"""


class SessionTables(AgentTables):
    """The port's Sessions."""

    async def open_session(self, session: Session, token_sha256: str | None, cap: int) -> Session:
        """See the port. An implicit session that is open costs one point read and no write."""
        if session.implicit:
            standing = await self._open_implicit(session)
            if standing is not None:
                return standing
        return await self._database.transaction(
            partial(store_session, session=session, token_sha256=token_sha256, cap=cap)
        )

    async def session_by_token(self, token_sha256: str) -> Session | None:
        """See the port."""
        return await self._one(_ISSUED_FOR, token_sha256)

    async def session(self, session_id: str) -> Session | None:
        """See the port."""
        return await self._one(_BY_ID, session_id)

    async def end_session(self, session_id: str, at: datetime) -> None:
        """See the port."""
        await self._database.write(_END, session_id, micros(at))

    async def sessions(
        self, limit: int, tenants: Sequence[str] = (ALL_TENANTS,)
    ) -> tuple[Session, ...]:
        """See the port."""
        if ALL_TENANTS in tenants:
            rows = await self._database.fetch(_NEWEST, limit)
        else:
            rows = await self._database.fetch(_NEWEST_OF, limit, [*tenants])
        return tuple(session_of(tuple(row)) for row in rows)

    async def view(self, session: Session, limits: Limits, at: datetime) -> SessionView:
        """See the port."""
        return await read_view(self._database, session, limits, at)

    async def _one(self, sql: str, key: str) -> Session | None:
        rows = await self._database.fetch(sql, key)
        return session_of(tuple(rows[0])) if rows else None

    async def _open_implicit(self, session: Session) -> Session | None:
        asked = (session.tenant, session.agent, micros(session.opened_at))
        ((reason, *row),) = await self._database.fetch(_STANDING, *asked)
        if reason is not None:
            raise Refused.because("agent-locked")
        return session_of(tuple(row)) if row[0] is not None else None


async def store_session(
    connection: Connection, session: Session, token_sha256: str | None, cap: int
) -> Session:
    """Store a session, or return the implicit one that is open; see the port for refusals.

    In a transaction; its agent's sessions are opened one after the other.
    """
    owner = (session.tenant, session.agent)
    opened_at = micros(session.opened_at)
    await connection.fetch(_QUEUE, *owner)
    if await connection.fetch(LOCK_REASON, *owner):
        raise Refused.because("agent-locked")
    if session.implicit:
        standing = await connection.fetch(_IMPLICIT, *owner, opened_at)
        if standing:
            return session_of(tuple(standing[0]))
    await connection.fetch(_END_EXPIRED, *owner, opened_at)
    ((count,),) = await connection.fetch(_COUNT_OPEN, *owner)
    if not session.implicit and count >= cap:
        raise Refused.because("too-many-sessions")
    await connection.fetch(_INSERT, *session_values(session, token_sha256))
    return session
