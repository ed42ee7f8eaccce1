"""Rows of approvals to frozen dataclasses and back, for every store."""

import json

from proxy.model.approval import Approval, ApprovalState, Binding
from proxy.model.decision import Reason
from proxy.model.tool import Effect
from proxy.stores.rows import Row, micros, moment, scope_keys

_ENDS = (ApprovalState.PENDING, ApprovalState.APPROVED)


def approval_values(asked: Approval) -> Row:
    """Return the values of a new approval, `approval_id` to `expires_at`, then its scopes."""
    binding = asked.binding
    return (
        asked.id,
        binding.tenant,
        binding.agent,
        binding.resource_id,
        binding.request_sha256,
        binding.tool_pin,
        binding.policy_revision,
        asked.session_id,
        asked.epoch,
        asked.effect,
        asked.risk,
        json.dumps([(given.id, given.message) for given in asked.reasons]),
        asked.request,
        micros(asked.asked_at),
        micros(asked.expires_at),
        scope_keys(asked.scopes),
    )


def approval_of(row: Row, at_us: int) -> Approval:
    """Return the approval of a row of `approval_rows`, in the state it is in at that time."""
    _, approval_id, *bound = row[:8]
    session_id, epoch, effect, risk, reasons, request, asked_at, expires_at = row[8:16]
    decided_by, decided_at, note, written, overtaken = row[16:]
    state = ApprovalState(written)
    if state in _ENDS and (expires_at <= at_us or overtaken):
        state = ApprovalState.EXPIRED
    return Approval(
        id=approval_id,
        binding=Binding(*bound),
        session_id=session_id,
        epoch=epoch,
        effect=Effect(effect),
        risk=risk,
        reasons=tuple(Reason(reason_id, message) for reason_id, message in json.loads(reasons)),
        request=request,
        asked_at=moment(asked_at),
        expires_at=moment(expires_at),
        state=state,
        decided_by=decided_by,
        decided_at=None if decided_at is None else moment(decided_at),
        note=note,
    )
