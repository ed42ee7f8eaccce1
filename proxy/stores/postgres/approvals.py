"""Approvals: asked once, decided once; that they are used once is part of `reserve`."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial

from proxy.model.approval import Approval, ApprovalState, Binding, Ruling
from proxy.model.session import ALL_TENANTS
from proxy.stores.approval_rows import approval_of, approval_values
from proxy.stores.postgres.connections import Connection
from proxy.stores.postgres.database import Tables
from proxy.stores.rows import Row, micros

_QUEUE = "SELECT queue_for_agent($1, $2)"
_STANDING = """
SELECT * FROM approval_rows
WHERE state <> 'used' AND expires_at > $7 AND tenant = $1 AND agent = $2
      AND resource_id = $3 AND request_sha256 = $4 AND tool_pin = $5 AND policy_revision = $6
      AND NOT overtaken
ORDER BY seq DESC LIMIT 1
"""
_ONE = "SELECT * FROM approval_rows WHERE approval_id = $1"
_LIST = """
SELECT * FROM approval_rows
WHERE ($1::text[] IS NULL OR tenant = ANY ($1))
      AND ($2::text IS NULL OR $2 = CASE
           WHEN state IN ('pending', 'approved') AND (expires_at <= $3 OR overtaken)
           THEN 'expired' ELSE state END)
ORDER BY seq DESC LIMIT $4
"""
_COUNT_PENDING = """
SELECT count(*) FROM approval_rows
WHERE state <> 'used' AND state = 'pending' AND tenant = $1 AND agent = $2 AND expires_at > $3
      AND NOT overtaken
"""
_INSERT = """
INSERT INTO approvals (approval_id, tenant, agent, resource_id, request_sha256, tool_pin,
                       policy_revision, session_id, epoch, effect, risk, reasons, request,
                       asked_at, expires_at, scopes)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16::jsonb)
"""
# The state is asked for outside as well: who waited for another ruling looks at the row again.
_RULE = """
UPDATE approvals SET state = $2, decided_by = $3, note = $4, decided_at = $5
WHERE approvals.state = 'pending' AND approvals.seq = (
    SELECT seq FROM approval_rows
    WHERE approval_id = $1 AND state = 'pending' AND expires_at > $5 AND NOT overtaken)
RETURNING seq
"""


class ApprovalTables(Tables):
    """The port's Approvals."""

    async def ask_approval(self, asked: Approval, cap: int) -> Approval | None:
        """See the port."""
        return await self._database.transaction(partial(_ask, asked=asked, cap=cap))

    async def standing_approval(self, binding: Binding, at: datetime) -> Approval | None:
        """See the port."""
        rows = await self._database.fetch(_STANDING, *_bound(binding, at))
        return approval_of(tuple(rows[0]), micros(at)) if rows else None

    async def approval(self, approval_id: str, at: datetime) -> Approval | None:
        """See the port."""
        rows = await self._database.fetch(_ONE, approval_id)
        return approval_of(tuple(rows[0]), micros(at)) if rows else None

    async def approvals(
        self, state: ApprovalState | None, tenants: Sequence[str], limit: int, at: datetime
    ) -> tuple[Approval, ...]:
        """See the port; no tenant means no approval."""
        owners = None if ALL_TENANTS in tenants else [*tenants]
        rows = await self._database.fetch(_LIST, owners, state, micros(at), limit)
        return tuple(approval_of(tuple(row), micros(at)) for row in rows)

    async def rule_approval(self, ruling: Ruling) -> bool:
        """See the port. Raises ValueError for a state that is no ruling."""
        if ruling.state not in (ApprovalState.APPROVED, ApprovalState.DENIED):
            raise ValueError("An approval is ruled approved or denied.")
        values = (ruling.approval_id, ruling.state, ruling.by, ruling.note, micros(ruling.at))
        return bool(await self._database.write(_RULE, *values))


async def _ask(connection: Connection, asked: Approval, cap: int) -> Approval | None:
    """Ask in a transaction: the questions of an agent come one after the other."""
    binding, at = asked.binding, asked.asked_at
    owner = (binding.tenant, binding.agent)
    await connection.fetch(_QUEUE, *owner)
    standing = await connection.fetch(_STANDING, *_bound(binding, at))
    if standing:
        return approval_of(tuple(standing[0]), micros(at))
    ((pending,),) = await connection.fetch(_COUNT_PENDING, *owner, micros(at))
    if pending >= cap:
        return None
    await connection.fetch(_INSERT, *approval_values(asked))
    return asked


def _bound(binding: Binding, at: datetime) -> Row:
    return (
        binding.tenant,
        binding.agent,
        binding.resource_id,
        binding.request_sha256,
        binding.tool_pin,
        binding.policy_revision,
        micros(at),
    )
