"""What a decision needs to know of a session and its agent, in one statement: one snapshot."""

import sqlite3
from datetime import datetime

from pydantic_core import from_json

from proxy.model.kill import scopes_of
from proxy.model.ledger import Limits
from proxy.model.session import BudgetView, Session, SessionView
from proxy.stores.accounts import agent_account, horizon_us, session_account
from proxy.stores.rows import micros, recent_of, scope_key

RECENT_STEPS = 10

# Each part is a few rows by an index; the lists of steps and decisions are read from theirs alone.
_VIEW = """
SELECT (SELECT reason FROM agent_locks WHERE tenant = ?1 AND agent = ?2),
       (SELECT json_group_array(label) FROM agent_labels WHERE tenant = ?1 AND agent = ?2),
       EXISTS (SELECT 1 FROM dry_run_toggles WHERE scope IN (?3, ?4, ?5, ?6)),
       EXISTS (SELECT 1 FROM approvals
               WHERE tenant = ?1 AND agent = ?2 AND expires_at > ?7 AND state <> 'used'),
       (SELECT used FROM accounts WHERE account = ?8),
       (SELECT held FROM accounts WHERE account = ?8),
       (SELECT sum(used) FROM account_buckets WHERE account = ?9 AND bucket_at > ?10),
       (SELECT held FROM accounts WHERE account = ?9),
       (SELECT json_group_array(json_array(number, step_id, state))
        FROM (SELECT number, step_id, state FROM steps
              WHERE session_id = ?11 ORDER BY number DESC LIMIT ?12)),
       (SELECT json_group_array(json_array(step_id, resource_id, verdict, dry_run))
        FROM (SELECT step_id, resource_id, verdict, dry_run FROM decisions
              WHERE session_id = ?11 ORDER BY seq DESC LIMIT ?12))
"""


def view(
    connection: sqlite3.Connection, session: Session, limits: Limits, at: datetime
) -> SessionView:
    """Return the view of a session at a time; `recent` is oldest first, refusals included.

    The session's limit is its own `risk_limit`, the agent's comes from `limits`; dry run is that
    session's.
    """
    tenant, agent, at_us = session.tenant, session.agent, micros(at)
    own, shared = session_account(session.id), agent_account(tenant, agent)
    asked = (
        *(tenant, agent),
        *map(scope_key, scopes_of(tenant, agent, session.id)),
        *(at_us, own, shared, horizon_us(limits.window_s, at_us), session.id, RECENT_STEPS),
    )
    ((locked, labels, dry_run, approvals, *points, last_steps, last_decisions),) = (
        connection.execute(_VIEW, asked).fetchall()
    )
    used, held, agent_used, agent_held = (known or 0 for known in points)
    steps = from_json(last_steps)
    return SessionView(
        session=session,
        step=steps[0][0] + 1 if steps else 1,
        budget=BudgetView(session.risk_limit, used, held),
        agent_budget=BudgetView(limits.agent_risk, agent_used, agent_held),
        labels=tuple(from_json(labels)),
        locked=locked,
        dry_run=bool(dry_run),
        approvals=bool(approvals),
        recent=recent_of(steps, from_json(last_decisions)),
    )
