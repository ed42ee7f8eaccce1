"""Steps and audit records. Reservations and settlements are batched; each batch is one commit."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from proxy.errors import StoreUnavailable
from proxy.model.kill import GLOBAL
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
from proxy.stores.postgres.batches import Batches
from proxy.stores.postgres.database import Database, Tables
from proxy.stores.postgres.intents import asked_of, reserved_of, settled_of
from proxy.stores.rows import decision_of, decision_values, micros, step_of

STOPPED = "the gateway stopped before the outcome was known"

_RESERVE = "SELECT * FROM reserve_all($1::jsonb[], $2::bytea[])"
_SETTLE = "SELECT settle_all($1::jsonb[], $2::bytea[])"
_RECORD = "SELECT record_decision($1::jsonb, false)"
_CLAIMED = "SELECT * FROM claimed($1, $2, $3, $4, $5)"
_SEND = """
UPDATE steps SET state = 'sending' WHERE step_id = $1 AND state = 'intent' RETURNING seq
"""
# Of replicas that live, no step is touched: they settle their own.
_TO_UNKNOWN = """
WITH dead AS MATERIALIZED (
    SELECT instance
    FROM (SELECT DISTINCT instance FROM steps
          WHERE state <> 'done' AND state <> 'failed' AND state <> 'unknown'
                AND strpos(holder, '/') = 0) AS open_at
    WHERE instance = $3 OR NOT alive(instance)
), stopped AS (
    UPDATE steps SET left_as = state, state = 'unknown', detail = $1, settled_at = $2, due_at = 0
    FROM dead
    WHERE steps.instance = dead.instance AND strpos(holder, '/') = 0
          AND state <> 'done' AND state <> 'failed' AND state <> 'unknown'
    RETURNING steps.seq
)
SELECT intent_rows.* FROM intent_rows JOIN stopped USING (seq) ORDER BY seq
"""
_STEPS = """
SELECT * FROM intent_rows
WHERE ($1::text IS NULL OR session_id = $1)
      AND (cardinality($2::text[]) = 0 OR state = ANY ($2))
      AND ($3::text[] IS NULL OR tenant = ANY ($3))
"""
_UNSETTLED = frozenset(
    {IntentState.INTENT, IntentState.SENDING, IntentState.UNKNOWN, IntentState.STUCK}
)
_ONLY_UNSETTLED = " AND phase <> 'done' AND phase <> 'failed'"
_BY_NUMBER = " ORDER BY number DESC LIMIT $4"
_BY_SEQ = " ORDER BY seq DESC LIMIT $4"
_CLAIMED_BY = """
SELECT * FROM intent_rows
WHERE seq = (SELECT seq FROM steps
             WHERE tenant = $1 AND agent = $2 AND session_id = $3 AND idempotency_key = $4)
"""
_DECISIONS = "SELECT * FROM decision_rows ORDER BY seq DESC LIMIT $1"
_DECISIONS_OF = """
SELECT one.* FROM unnest($2::text[]) AS asked (tenant)
CROSS JOIN LATERAL (SELECT * FROM decision_rows WHERE decision_rows.tenant = asked.tenant
                    ORDER BY seq DESC LIMIT $1) AS one
ORDER BY seq DESC LIMIT $1
"""


class LedgerTables(Tables):
    """The port's Ledger."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._reserving = Batches(self._reserve_all)
        self._settling = Batches(self._settle_all)

    async def reserve(self, reservation: Reservation) -> Reserved:
        """See the port. Raises ValueError when `scopes` leave out the global one.

        A caller that is cancelled here does not know whether it holds a reservation; settling
        the step afterwards closes one and does nothing when there is none.
        """
        if GLOBAL not in reservation.scopes:
            raise ValueError("A reservation stands under the global scope; use scopes_of.")
        return await self._reserving.add(reservation)

    async def claimed(self, session: Session, claim: Claim) -> Reserved | None:
        """See the port."""
        owner = (session.tenant, session.agent, session.id)
        rows = await self._database.fetch(_CLAIMED, *owner, claim.key, claim.request_sha256)
        return reserved_of(rows[0]) if rows and rows[0][0] is not None else None

    async def step_of(self, session: Session, key: str) -> StepRow | None:
        """See the port."""
        owner = (session.tenant, session.agent, session.id)
        rows = await self._database.fetch(_CLAIMED_BY, *owner, key)
        return step_of(tuple(rows[0])) if rows else None

    async def mark_sending(self, step_id: str) -> None:
        """See the port. Raises StoreUnavailable when the step is not an open intent."""
        if not await self._database.write(_SEND, step_id):
            raise StoreUnavailable("The step is not an open intent; nothing may be sent.")

    async def settle(self, settlement: Settlement) -> None:
        """See the port. Raises ValueError for a state that is no outcome."""
        await self._settling.add((settled_of(settlement), settlement.answer))

    async def record(self, decision: DecisionRecord) -> None:
        """See the port. Recording a decision again changes nothing."""
        await self._database.write(_RECORD, json.dumps(decision_values(decision)))

    async def open_intents_to_unknown(self, at: datetime) -> tuple[StepRow, ...]:
        """See the port; oldest first. Those of other replicas that live are left alone."""
        rows = await self._database.write(_TO_UNKNOWN, STOPPED, micros(at), self._database.instance)
        steps = (step_of(tuple(row)) for row in rows)
        return tuple(replace(one, state=IntentState.UNKNOWN, detail=STOPPED) for one in steps)

    async def steps(
        self,
        session_id: str | None,
        states: Sequence[str],
        limit: int,
        tenants: Sequence[str] = (ALL_TENANTS,),
    ) -> tuple[StepRow, ...]:
        """See the port."""
        asked = (session_id, [*states], None if ALL_TENANTS in tenants else [*tenants], limit)
        rows = await self._database.fetch(_steps_sql(session_id, states), *asked)
        return tuple(step_of(tuple(row)) for row in rows)

    async def decisions(self, limit: int, tenants: Sequence[str]) -> tuple[DecisionRecord, ...]:
        """See the port; no tenant means no record."""
        if ALL_TENANTS in tenants:
            rows = await self._database.fetch(_DECISIONS, limit)
        else:
            rows = await self._database.fetch(_DECISIONS_OF, limit, sorted(set(tenants)))
        return tuple(decision_of(tuple(row)) for row in rows)

    async def finish(self) -> None:
        """Return when no batch is under way."""
        await self._reserving.finish()
        await self._settling.finish()

    async def _reserve_all(self, reservations: Sequence[Reservation]) -> Sequence[Reserved]:
        """Reserve in the order of agents, so that two batches never wait for each other."""
        owners = [(one.intent.tenant, one.intent.agent, n) for n, one in enumerate(reservations)]
        order = [n for *_, n in sorted(owners)]
        instance = self._database.instance
        rows = await self._database.fetch(
            _RESERVE,
            [asked_of(reservations[n], instance) for n in order],
            [reservations[n].intent.arguments for n in order],
        )
        found = dict(zip(order, map(reserved_of, rows), strict=True))
        return [found[n] for n in range(len(reservations))]

    async def _settle_all(self, outcomes: Sequence[tuple[str, bytes | None]]) -> Sequence[None]:
        asked, answers = zip(*outcomes, strict=True)
        await self._database.fetch(_SETTLE, asked, answers)
        return [None] * len(outcomes)


def _steps_sql(session_id: str | None, states: Sequence[str]) -> str:
    if states and _UNSETTLED.issuperset(states):
        return _STEPS + _ONLY_UNSETTLED + _BY_SEQ
    return _STEPS + (_BY_SEQ if session_id is None else _BY_NUMBER)
