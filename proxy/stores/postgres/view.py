"""What a decision needs to know of a session and its agent: one statement, one snapshot."""

import json
from datetime import datetime

from proxy.model.kill import scopes_of
from proxy.model.ledger import Limits
from proxy.model.session import BudgetView, Session, SessionView
from proxy.stores.accounts import agent_account, horizon_us, session_account
from proxy.stores.postgres.database import Database
from proxy.stores.rows import micros, recent_of, scope_key

RECENT_STEPS = 10

_VIEW = f"""
SELECT (SELECT reason FROM agent_locks WHERE tenant = $1 AND agent = $2),
       ARRAY(SELECT label FROM agent_labels WHERE tenant = $1 AND agent = $2
             ORDER BY label COLLATE "C"),
       EXISTS (SELECT 1 FROM dry_run_toggles WHERE scope = ANY ($3::text[])),
       EXISTS (SELECT 1 FROM approvals
               WHERE tenant = $1 AND agent = $2 AND expires_at > $4 AND state <> 'used'),
       own.used, own.held,
       (SELECT coalesce(sum(used), 0)::bigint FROM account_buckets
        WHERE account = $6 AND bucket_at > $7),
       shared.held,
       (SELECT coalesce(json_agg(json_build_array(number, step_id, state)), '[]')
        FROM (SELECT number, step_id, state FROM steps WHERE session_id = $8
              ORDER BY number DESC LIMIT {RECENT_STEPS}) AS last_steps),
       (SELECT coalesce(json_agg(json_build_array(step_id, resource_id, verdict, dry_run)), '[]')
        FROM (SELECT step_id, resource_id, verdict, dry_run FROM decisions WHERE session_id = $8
              ORDER BY seq DESC LIMIT {RECENT_STEPS}) AS last_decisions)
FROM (SELECT) AS always
LEFT JOIN accounts AS own ON own.account = $5
LEFT JOIN accounts AS shared ON shared.account = $6
"""  # noqa: S608 - a number of ours is all that is put in


async def read_view(
    database: Database, session: Session, limits: Limits, at: datetime
) -> SessionView:
    """Return the view of a session at a time; `recent` is oldest first, refusals included.

    The session's limit is its own `risk_limit`, the agent's comes from `limits`.
    """
    tenant, agent, at_us = session.tenant, session.agent, micros(at)
    (
        (reason, labels, dry_run, approvals, used, held, spent, lent, steps, decisions),
    ) = await database.fetch(
        _VIEW,
        tenant,
        agent,
        [scope_key(scope) for scope in scopes_of(tenant, agent, session.id)],
        at_us,
        session_account(session.id),
        agent_account(tenant, agent),
        horizon_us(limits.window_s, at_us),
        session.id,
    )
    last_steps = json.loads(steps)
    return SessionView(
        session=session,
        step=last_steps[0][0] + 1 if last_steps else 1,
        budget=BudgetView(session.risk_limit, used or 0, held or 0),
        agent_budget=BudgetView(limits.agent_risk, spent, lent or 0),
        labels=tuple(labels),
        locked=reason,
        dry_run=dry_run,
        approvals=approvals,
        recent=recent_of(last_steps, json.loads(decisions)),
    )
