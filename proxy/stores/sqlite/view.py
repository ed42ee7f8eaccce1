"""What a decision needs to know of a session and its agent: a few indexed point reads."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

from proxy.model.decision import Verdict
from proxy.model.ledger import Limits, Outcome
from proxy.model.session import BudgetView, RecentStep, Session, SessionView
from proxy.stores.sqlite import agents, budgets
from proxy.stores.sqlite.rows import Row, micros

RECENT_STEPS = 10

_LAST_STEPS = """
SELECT number, step_id, state FROM steps WHERE session_id = ? ORDER BY number DESC LIMIT ?
"""
_LAST_DECISIONS = """
SELECT step_id, resource_id, verdict, dry_run FROM decisions
WHERE session_id = ? ORDER BY seq DESC LIMIT ?
"""


def view(
    connection: sqlite3.Connection, session: Session, limits: Limits, at: datetime
) -> SessionView:
    """Return the view of a session at a time; `recent` is oldest first, refusals included.

    The session's limit is its own `risk_limit`, the agent's comes from `limits`. All of it is one
    snapshot.
    """
    tenant, agent = session.tenant, session.agent
    at_us = micros(at)
    with _snapshot(connection):
        standing = agents.standing(connection, session, at_us)
        own = budgets.balance(connection, budgets.session_account(session.id), None, at_us)
        rolling = budgets.agent_account(tenant, agent)
        shared = budgets.balance(connection, rolling, limits.window_s, at_us)
        steps = connection.execute(_LAST_STEPS, (session.id, RECENT_STEPS)).fetchall()
        decisions = connection.execute(_LAST_DECISIONS, (session.id, RECENT_STEPS)).fetchall()
    return SessionView(
        session=session,
        step=steps[0][0] + 1 if steps else 1,
        budget=BudgetView(session.risk_limit, *own),
        agent_budget=BudgetView(limits.agent_risk, *shared),
        labels=standing.labels,
        locked=standing.locked,
        dry_run=standing.dry_run,
        approvals=standing.approvals,
        recent=_recent(steps, decisions),
    )


@contextmanager
def _snapshot(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.execute("COMMIT")


def _recent(steps: Sequence[Row], decisions: Sequence[Row]) -> tuple[RecentStep, ...]:
    """Join decisions and steps, newest first both; a step and its decision are written together."""
    states = {step_id: state for _number, step_id, state in steps}
    return tuple(
        RecentStep(tool, verdict, states.get(step_id) or _outcome_without_step(verdict, dry_run))
        for step_id, tool, verdict, dry_run in reversed(decisions)
    )


def _outcome_without_step(verdict: str, dry_run: int) -> str:
    """Return what became of a decision that reserved nothing, so nothing was sent."""
    if verdict != Verdict.DENY and dry_run:
        return Outcome.DRY_RUN
    if verdict == Verdict.ALLOW:
        return Outcome.PERMITTED
    return Outcome.PENDING_APPROVAL if verdict == Verdict.HOLD else Outcome.DENIED
