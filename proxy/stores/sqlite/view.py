"""What a decision needs to know of a session and its agent: a few indexed point reads."""

import sqlite3
from datetime import datetime

from proxy.model.decision import Verdict
from proxy.model.kill import scopes_of
from proxy.model.ledger import Limits, Outcome
from proxy.model.session import BudgetView, RecentStep, Session, SessionView
from proxy.stores.sqlite import agents, budgets
from proxy.stores.sqlite.rows import micros

RECENT_STEPS = 10

_NEXT_NUMBER = "SELECT coalesce(max(number), 0) + 1 FROM steps WHERE session_id = ?"
_RECENT = """
SELECT decisions.resource_id, decisions.verdict, decisions.dry_run, steps.state
FROM decisions LEFT JOIN steps ON steps.step_id = decisions.step_id
WHERE decisions.session_id = ? ORDER BY decisions.seq DESC LIMIT ?
"""


def view(
    connection: sqlite3.Connection, session: Session, limits: Limits, at: datetime
) -> SessionView:
    """Return the view of a session at a time; `recent` is oldest first, refusals included.

    The session's limit is its own `risk_limit`, the agent's comes from `limits`.
    """
    ((step,),) = connection.execute(_NEXT_NUMBER, (session.id,)).fetchall()
    scopes = scopes_of(session.tenant, session.agent, session.id)
    locked, labels, dry_run = agents.standing(connection, session.tenant, session.agent, scopes)
    at_us = micros(at)
    own = budgets.balance(connection, budgets.session_account(session.id), None, at_us)
    account = budgets.agent_account(session.tenant, session.agent)
    shared = budgets.balance(connection, account, limits.window_s, at_us)
    return SessionView(
        session=session,
        step=step,
        budget=BudgetView(session.risk_limit, *own),
        agent_budget=BudgetView(limits.agent_risk, *shared),
        labels=labels,
        locked=locked,
        dry_run=dry_run,
        recent=_recent(connection, session.id),
    )


def _recent(connection: sqlite3.Connection, session_id: str) -> tuple[RecentStep, ...]:
    rows = connection.execute(_RECENT, (session_id, RECENT_STEPS)).fetchall()
    return tuple(
        RecentStep(tool, verdict, state or _outcome_without_step(verdict, dry_run))
        for tool, verdict, dry_run, state in reversed(rows)
    )


def _outcome_without_step(verdict: str, dry_run: int) -> str:
    """Return what became of a decision that reserved nothing, so nothing was sent."""
    if verdict == Verdict.HOLD:
        return Outcome.PENDING_APPROVAL
    if verdict == Verdict.ALLOW and dry_run:
        return Outcome.DRY_RUN
    return Outcome.DENIED
