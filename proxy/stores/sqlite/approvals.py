"""Approvals: asked once, decided once, used once."""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial

from proxy.model.approval import Approval, ApprovalState, Binding, Ruling
from proxy.model.ledger import Reservation
from proxy.model.session import ALL_TENANTS
from proxy.stores.approval_rows import approval_of, approval_values
from proxy.stores.rows import micros
from proxy.stores.sqlite.database import Tables

_STANDING = """
SELECT * FROM approval_rows
WHERE state <> 'used' AND expires_at > :at AND tenant = :tenant AND agent = :agent
      AND request_sha256 = :request_sha256 AND resource_id = :resource_id
      AND tool_pin = :tool_pin AND policy_revision = :policy_revision AND overtaken = 0
ORDER BY seq DESC LIMIT 1
"""
_ONE = "SELECT * FROM approval_rows WHERE approval_id = :id"
_LIST = """
SELECT * FROM approval_rows
WHERE (:tenants IS NULL OR tenant IN (SELECT value FROM json_each(:tenants)))
      AND (:state IS NULL OR :state = CASE
           WHEN (state = 'pending' OR state = 'approved') AND (expires_at <= :at OR overtaken)
           THEN 'expired' ELSE state END)
ORDER BY seq DESC LIMIT :limit
"""
_COUNT_PENDING = """
SELECT count(*) FROM approval_rows
WHERE state <> 'used' AND state = 'pending' AND tenant = ? AND agent = ? AND expires_at > ?
      AND overtaken = 0
"""
_INSERT = """
INSERT INTO approvals (approval_id, tenant, agent, resource_id, request_sha256, tool_pin,
                       policy_revision, session_id, epoch, effect, risk, reasons, request,
                       asked_at, expires_at, scopes)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_RULE = """
UPDATE approvals SET state = :state, decided_by = :by, note = :note, decided_at = :at
WHERE seq = (SELECT seq FROM approval_rows
             WHERE approval_id = :id AND state = 'pending' AND expires_at > :at AND overtaken = 0)
"""
_USE = """
UPDATE approvals SET state = 'used', used_by = :step
WHERE seq = (SELECT seq FROM approval_rows
             WHERE approval_id = :id AND state = 'approved' AND expires_at > :at
                   AND tenant = :tenant AND agent = :agent AND resource_id = :resource_id
                   AND request_sha256 = :request_sha256 AND tool_pin = :tool_pin
                   AND policy_revision = :policy_revision AND overtaken = 0)
"""


class ApprovalTables(Tables):
    """The port's Approvals."""

    async def ask_approval(self, asked: Approval, cap: int) -> Approval | None:
        """See the port."""
        return await self._database.write(partial(_ask, asked=asked, cap=cap))

    async def standing_approval(self, binding: Binding, at: datetime) -> Approval | None:
        """See the port."""
        return self._database.read(partial(_standing, binding=binding, at=at))

    async def approval(self, approval_id: str, at: datetime) -> Approval | None:
        """See the port."""
        asked = {"id": approval_id}
        found = self._database.read(partial(_found, sql=_ONE, asked=asked, at=at))
        return found[0] if found else None

    async def approvals(
        self, state: ApprovalState | None, tenants: Sequence[str], limit: int, at: datetime
    ) -> tuple[Approval, ...]:
        """See the port; no tenant means no approval."""
        asked = {
            "state": state,
            "tenants": None if ALL_TENANTS in tenants else json.dumps([*tenants]),
            "limit": limit,
            "at": micros(at),
        }
        return await self._database.read_list(partial(_found, sql=_LIST, asked=asked, at=at))

    async def rule_approval(self, ruling: Ruling) -> bool:
        """See the port. Raises ValueError for a state that is no ruling."""
        return await self._database.write(partial(_rule, ruling=ruling))


def use(connection: sqlite3.Connection, reservation: Reservation) -> bool:
    """Use the approval a reservation names up; False when it is not good for this intent now.

    A reservation that names none needs none. Tenant, agent and tool are the intent's own.
    """
    approval, intent = reservation.approval, reservation.intent
    if approval is None:
        return True
    asked = _asked(approval.binding, intent.at) | {
        "id": approval.id,
        "step": intent.step_id,
        "tenant": intent.tenant,
        "agent": intent.agent,
        "resource_id": intent.resource_id,
    }
    return connection.execute(_USE, asked).rowcount == 1


def _standing(connection: sqlite3.Connection, binding: Binding, at: datetime) -> Approval | None:
    found = _found(connection, _STANDING, _asked(binding, at), at)
    return found[0] if found else None


def _ask(connection: sqlite3.Connection, asked: Approval, cap: int) -> Approval | None:
    binding, at = asked.binding, asked.asked_at
    standing = _standing(connection, binding, at)
    if standing is not None:
        return standing
    owner = (binding.tenant, binding.agent, micros(at))
    ((pending,),) = connection.execute(_COUNT_PENDING, owner).fetchall()
    if pending >= cap:
        return None
    connection.execute(_INSERT, approval_values(asked))
    return asked


def _rule(connection: sqlite3.Connection, ruling: Ruling) -> bool:
    if ruling.state not in (ApprovalState.APPROVED, ApprovalState.DENIED):
        raise ValueError("An approval is ruled approved or denied.")
    asked = {
        "id": ruling.approval_id,
        "state": ruling.state,
        "by": ruling.by,
        "note": ruling.note,
        "at": micros(ruling.at),
    }
    return connection.execute(_RULE, asked).rowcount == 1


def _asked(binding: Binding, at: datetime) -> dict[str, object]:
    return {
        "tenant": binding.tenant,
        "agent": binding.agent,
        "resource_id": binding.resource_id,
        "request_sha256": binding.request_sha256,
        "tool_pin": binding.tool_pin,
        "policy_revision": binding.policy_revision,
        "at": micros(at),
    }


def _found(
    connection: sqlite3.Connection, sql: str, asked: Mapping[str, object], at: datetime
) -> tuple[Approval, ...]:
    rows = connection.execute(sql, asked).fetchall()
    return tuple(approval_of(row, micros(at)) for row in rows)
