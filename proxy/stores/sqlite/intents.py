"""Reserve and settle: the two transactions every effect stands between."""

import sqlite3

from proxy.errors import StoreUnavailable
from proxy.model.kill import GLOBAL
from proxy.model.ledger import (
    Claim,
    DecisionRecord,
    IntentState,
    Reservation,
    Reserved,
    ReserveStatus,
    Settlement,
)
from proxy.stores.recovery_rows import intent_context
from proxy.stores.rows import (
    credential_values,
    decision_values,
    hold_values,
    intent_values,
    micros,
    scope_keys,
)
from proxy.stores.sqlite import agents, approvals, budgets

_CLAIMED = """
SELECT request_sha256, state, number, answer FROM steps
WHERE tenant = ? AND agent = ? AND session_id = ? AND idempotency_key = ?
"""
_GATE = """
SELECT coalesce((SELECT number FROM steps WHERE step_id = :continues AND session_id = :session),
                (SELECT coalesce(max(number), 0) + 1 FROM steps WHERE session_id = :session)),
       EXISTS (SELECT 1 FROM sessions
               WHERE id = :session AND tenant = :tenant AND agent = :agent
                     AND state = 'open' AND expires_at > :at),
       EXISTS (SELECT 1 FROM agent_locks WHERE tenant = :tenant AND agent = :agent),
       EXISTS (SELECT 1 FROM json_each(:scopes) AS asked
               CROSS JOIN kill_scopes ON kill_scopes.scope = asked.value
               WHERE kill_scopes.active > 0 OR kill_scopes.floor > :epoch)
"""
_INSERT_STEP = """
INSERT INTO steps (step_id, session_id, tenant, agent, server, tool, effect, recovery, arguments,
                   arguments_sha256, epoch, at, decision_id, policy_revision, risk,
                   idempotency_key, request_sha256, holds, number, holder, context, state)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'intent')
"""
_INSERT_DECISION = """
INSERT INTO decisions (decision_id, at, step_id, tenant, agent, session_id, resource_id, effect,
                       verdict, reasons, arguments_sha256, policy_revision, epoch, dry_run, risk)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (decision_id) DO NOTHING
"""
_INSERT_CREDENTIAL = """
INSERT INTO credentials (step, lease_id, broker, audience, scope, expires_at, state)
VALUES (?, ?, ?, ?, ?, ?, 'pending')
"""
_END_CREDENTIAL = "UPDATE credentials SET state = 'ended' WHERE step = ?"
_SEND = "UPDATE steps SET state = 'sending' WHERE step_id = ? AND state = 'intent'"
_SETTLE = """
UPDATE steps SET state = :state, detail = :detail, settled_at = :at,
                 answer = CASE WHEN idempotency_key IS NOT NULL THEN coalesce(:answer, answer) END,
                 recovered = CASE WHEN :state = 'unknown' THEN recovered ELSE '' END
WHERE step_id = :step AND state <> 'done' AND state <> 'failed' AND (state <> :state OR :spent)
RETURNING seq, tenant, agent, holds,
          EXISTS (SELECT 1 FROM credentials WHERE credentials.step = steps.seq)
"""
# The owner of a step it had left open is back, and knows no more.
_IS_BACK = "UPDATE steps SET left_as = '' WHERE step_id = ? AND state = 'unknown'"
_SPENT = "UPDATE steps SET holds = '[]' WHERE seq = ?"
_FINAL = (IntentState.DONE, IntentState.FAILED)
_SETTLED = (*_FINAL, IntentState.UNKNOWN)


def reserve(connection: sqlite3.Connection, reservation: Reservation) -> Reserved:
    """Make the whole reservation durable, or write nothing; the port tells the order.

    Raises ValueError when `scopes` leave out the global one: no call stands outside it.
    """
    if GLOBAL not in reservation.scopes:
        raise ValueError("A reservation stands under the global scope; use scopes_of.")
    intent = reservation.intent
    owner = (intent.tenant, intent.agent, intent.session_id)
    answered = claimed(connection, owner, reservation.claim)
    if answered is not None:
        return answered
    status, number = _admit(connection, reservation)
    if status is ReserveStatus.RESERVED and not approvals.use(connection, reservation):
        status = ReserveStatus.APPROVAL_SPENT
    if status is not ReserveStatus.RESERVED:
        return Reserved(status)
    _write(connection, reservation, number)
    return Reserved(status, number=number)


def record(connection: sqlite3.Connection, decision: DecisionRecord) -> bool:
    """Write an audit record; return False when that decision has one, which stays as it is."""
    return connection.execute(_INSERT_DECISION, decision_values(decision)).rowcount > 0


def mark_sending(connection: sqlite3.Connection, step_id: str) -> None:
    """Move an intent to sending. Raises StoreUnavailable when it is not an open intent."""
    if connection.execute(_SEND, (step_id,)).rowcount != 1:
        raise StoreUnavailable("The step is not an open intent; nothing may be sent.")


def settle(connection: sqlite3.Connection, settlement: Settlement) -> None:
    """Record an outcome once; unknown may still become done or failed.

    A step that is not there was never reserved: nothing to settle. An answer replaces the stored
    one of a keyed step, and none leaves it. Raises ValueError for a state that is no outcome.
    """
    if settlement.state not in _SETTLED:
        raise ValueError("A step is settled as done, failed or unknown.")
    at_us = micros(settlement.at)
    observed = {
        "step": settlement.step_id,
        "state": settlement.state,
        "detail": settlement.detail,
        "at": at_us,
        "answer": settlement.answer,
        "spent": settlement.spent,
    }
    for step, tenant, agent, holds, has_lease in connection.execute(_SETTLE, observed).fetchall():
        spends = IntentState.DONE if settlement.spent else settlement.state
        budgets.settle(connection, holds, spends, at_us)
        if settlement.spent:
            connection.execute(_SPENT, (step,))
        agents.add_labels(connection, tenant, agent, settlement.labels)
        if has_lease:
            connection.execute(_END_CREDENTIAL, (step,))
    if settlement.state is IntentState.UNKNOWN:
        connection.execute(_IS_BACK, (settlement.step_id,))


def claimed(
    connection: sqlite3.Connection, owner: tuple[str, str, str], claim: Claim | None
) -> Reserved | None:
    """Answer a key that was used before; an unknown outcome is never executed again.

    `owner` is tenant, agent and session id.
    """
    if claim is None:
        return None
    rows = connection.execute(_CLAIMED, (*owner, claim.key)).fetchall()
    if not rows:
        return None
    ((request_sha256, state, number, answer),) = rows
    if request_sha256 != claim.request_sha256:
        return Reserved(ReserveStatus.MISMATCH, number=number)
    answered = state in _FINAL or (state == IntentState.UNKNOWN and answer is not None)
    if not answered:
        return Reserved(ReserveStatus.RUNNING, number=number)
    return Reserved(ReserveStatus.REPLAY, number=number, answer=answer)


def _admit(connection: sqlite3.Connection, reservation: Reservation) -> tuple[ReserveStatus, int]:
    """Return RESERVED or why not, and the number the step would have in its session."""
    intent = reservation.intent
    at_us = micros(intent.at)
    asked = {
        "session": intent.session_id,
        "continues": intent.continues,
        "tenant": intent.tenant,
        "agent": intent.agent,
        "at": at_us,
        "epoch": intent.epoch,
        "scopes": scope_keys(reservation.scopes),
    }
    ((number, is_open, locked, killed),) = connection.execute(_GATE, asked).fetchall()
    if not is_open:
        return ReserveStatus.SESSION_CLOSED, number
    if locked:
        return ReserveStatus.LOCKED, number
    if killed:
        return ReserveStatus.KILLED, number
    if not budgets.have_room(connection, reservation.holds, at_us):
        return ReserveStatus.BUDGET_EXHAUSTED, number
    return ReserveStatus.RESERVED, number


def _write(connection: sqlite3.Connection, reservation: Reservation, number: int) -> None:
    intent, decision, claim = reservation.intent, reservation.decision, reservation.claim
    holds = hold_values(reservation.holds)
    step = connection.execute(
        _INSERT_STEP,
        (
            *intent_values(intent),
            decision.decision_id,
            decision.policy_revision,
            decision.risk,
            claim.key if claim else None,
            claim.request_sha256 if claim else None,
            holds,
            number,
            intent.holder,
            intent_context(intent),
        ),
    ).lastrowid
    if not record(connection, decision):
        raise StoreUnavailable("The decision was recorded before; it reserves nothing again.")
    budgets.charge(connection, holds)
    agents.add_labels(connection, intent.tenant, intent.agent, reservation.labels)
    if reservation.credential is not None:
        connection.execute(_INSERT_CREDENTIAL, (step, *credential_values(reservation.credential)))
