"""Steps and audit records."""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial

from proxy.model.ledger import (
    Claim,
    DecisionRecord,
    IntentState,
    Reservation,
    Reserved,
    Settlement,
    StepRow,
)
from proxy.model.session import ALL_TENANTS, Session
from proxy.stores.rows import decision_of, micros, step_of
from proxy.stores.sqlite import intents
from proxy.stores.sqlite.database import Tables

STOPPED = "the gateway stopped before the outcome was known"

_OPEN = """
SELECT * FROM intent_rows
WHERE phase <> 'done' AND phase <> 'failed' AND phase <> 'unknown' AND instr(holder, '/') = 0
ORDER BY +seq
"""
_TO_UNKNOWN = """
UPDATE steps SET left_as = state, state = 'unknown', detail = ?, settled_at = ?, due_at = 0
WHERE state <> 'done' AND state <> 'failed' AND state <> 'unknown' AND instr(holder, '/') = 0
"""
_UNSETTLED = frozenset(
    {IntentState.INTENT, IntentState.SENDING, IntentState.UNKNOWN, IntentState.STUCK}
)
_STEPS_UNSETTLED = """
SELECT * FROM intent_rows
WHERE phase <> 'done' AND phase <> 'failed'
      AND phase IN (SELECT CASE value WHEN 'stuck' THEN 'unknown' ELSE value END
                    FROM json_each(:states))
      AND state IN (SELECT value FROM json_each(:states))
      AND (:session IS NULL OR session_id = :session)
      AND (:tenants IS NULL OR tenant IN (SELECT value FROM json_each(:tenants)))
ORDER BY seq DESC LIMIT :limit
"""
_STEPS_OF_SESSION = """
SELECT * FROM intent_rows
WHERE session_id = :session
      AND (:states = '[]' OR state IN (SELECT value FROM json_each(:states)))
      AND (:tenants IS NULL OR tenant IN (SELECT value FROM json_each(:tenants)))
ORDER BY number DESC LIMIT :limit
"""
_STEPS = """
SELECT * FROM intent_rows
WHERE (:states = '[]' OR state IN (SELECT value FROM json_each(:states)))
      AND (:tenants IS NULL OR tenant IN (SELECT value FROM json_each(:tenants)))
ORDER BY seq DESC LIMIT :limit
"""
_CLAIMED_BY = """
SELECT * FROM intent_rows
WHERE seq = (SELECT seq FROM steps
             WHERE tenant = ? AND agent = ? AND session_id = ? AND idempotency_key = ?)
"""
_DECISIONS = "SELECT * FROM decision_rows ORDER BY seq DESC LIMIT ?"
_DECISIONS_OF = "SELECT * FROM decision_rows WHERE tenant = ? ORDER BY seq DESC LIMIT ?"


class LedgerTables(Tables):
    """The port's Ledger."""

    async def reserve(self, reservation: Reservation) -> Reserved:
        """See the port. Raises ValueError when `scopes` leave out the global one.

        A caller that is cancelled here does not know whether it holds a reservation; settling
        the step afterwards closes one and does nothing when there is none.
        """
        return await self._database.write(partial(intents.reserve, reservation=reservation))

    async def claimed(self, session: Session, claim: Claim) -> Reserved | None:
        """See the port."""
        owner = (session.tenant, session.agent, session.id)
        return self._database.read(partial(intents.claimed, owner=owner, claim=claim))

    async def step_of(self, session: Session, key: str) -> StepRow | None:
        """See the port."""
        owner = (session.tenant, session.agent, session.id, key)
        return self._database.read(partial(_step_of, claim=owner))

    async def mark_sending(self, step_id: str) -> None:
        """See the port. Raises StoreUnavailable when the step is not an open intent."""
        await self._database.write(partial(intents.mark_sending, step_id=step_id))

    async def settle(self, settlement: Settlement) -> None:
        """See the port. Raises ValueError for a state that is no outcome."""
        await self._database.write(partial(intents.settle, settlement=settlement))

    async def record(self, decision: DecisionRecord) -> None:
        """See the port. Recording a decision again changes nothing."""
        await self._database.write(partial(intents.record, decision=decision))

    async def open_intents_to_unknown(self, at: datetime) -> tuple[StepRow, ...]:
        """See the port; oldest first."""
        return await self._database.write(partial(_to_unknown, at_us=micros(at)))

    async def steps(
        self,
        session_id: str | None,
        states: Sequence[str],
        limit: int,
        tenants: Sequence[str] = (ALL_TENANTS,),
    ) -> tuple[StepRow, ...]:
        """See the port."""
        asked = {
            "session": session_id,
            "states": json.dumps([*states]),
            "tenants": None if ALL_TENANTS in tenants else json.dumps([*tenants]),
            "limit": limit,
        }
        return await self._database.read_list(
            partial(_steps, sql=_steps_sql(session_id, states), asked=asked)
        )

    async def decisions(self, limit: int, tenants: Sequence[str]) -> tuple[DecisionRecord, ...]:
        """See the port; no tenant means no record."""
        return await self._database.read_list(partial(_decisions, limit=limit, tenants=tenants))


def _step_of(connection: sqlite3.Connection, claim: tuple[str, str, str, str]) -> StepRow | None:
    rows = connection.execute(_CLAIMED_BY, claim).fetchall()
    return step_of(rows[0]) if rows else None


def _to_unknown(connection: sqlite3.Connection, at_us: int) -> tuple[StepRow, ...]:
    rows = connection.execute(_OPEN).fetchall()
    connection.execute(_TO_UNKNOWN, (STOPPED, at_us))
    return tuple(replace(step_of(row), state=IntentState.UNKNOWN, detail=STOPPED) for row in rows)


def _steps_sql(session_id: str | None, states: Sequence[str]) -> str:
    if states and _UNSETTLED.issuperset(states):
        return _STEPS_UNSETTLED
    return _STEPS if session_id is None else _STEPS_OF_SESSION


def _steps(
    connection: sqlite3.Connection, sql: str, asked: Mapping[str, object]
) -> tuple[StepRow, ...]:
    return tuple(step_of(row) for row in connection.execute(sql, asked).fetchall())


def _decisions(
    connection: sqlite3.Connection, limit: int, tenants: Sequence[str]
) -> tuple[DecisionRecord, ...]:
    """Read the newest of each tenant by its index, then take the newest of all."""
    if ALL_TENANTS in tenants:
        rows = connection.execute(_DECISIONS, (limit,)).fetchall()
    else:
        rows = [
            row
            for tenant in sorted(set(tenants))
            for row in connection.execute(_DECISIONS_OF, (tenant, limit)).fetchall()
        ]
        rows.sort(key=lambda row: -row[0])
    return tuple(decision_of(row) for row in rows[:limit])
