"""`/v1/approvals`: what agents wait for, exactly as it would be sent, and an operator's yes or no.

Whoever asked cannot answer: tokens of agents and sessions mean nothing on this port, and an
operator who has the agent's own name is refused as well.
"""

import json
import re
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from proxy.errors import BadRequest
from proxy.ingress.operator_access import Access
from proxy.ingress.operator_documents import Document, time_text
from proxy.ingress.operator_requests import limit_of, members_of, query_of, reason_of
from proxy.model.approval import Approval, ApprovalState, Ruling
from proxy.model.decision import Reason, Verdict
from proxy.model.kill import Scope, ScopeKind
from proxy.model.ledger import DecisionRecord
from proxy.model.session import Operator
from proxy.model.token import new_id
from proxy.stores.base import Store

SHOWN_CHARS = 2_000
ANY_STATE = "any"

_REASON_MEMBERS = frozenset({"reason"})
_NOT_PLAIN = re.compile("[^ -~]")
_DONE = {ApprovalState.APPROVED: "approve", ApprovalState.DENIED: "deny"}


class ApprovalRoutes:
    """The four requests around approvals."""

    def __init__(self, store: Store, access: Access) -> None:
        self._store = store
        self._access = access

    async def list(self, operator: Operator, request: Request) -> Response:
        """List the approvals in one state, newest first; pending ones without a word."""
        query = query_of(request, "state", "tenant", "limit")
        state, limit = query.get("state", ApprovalState.PENDING), limit_of(query)
        if state not in {*ApprovalState, ANY_STATE}:
            known = ", ".join((*ApprovalState, ANY_STATE))
            raise BadRequest("invalid-state", f"`state` is one of {known}.")
        tenants = operator.tenants
        if "tenant" in query:
            await self._access.require(operator, Scope(ScopeKind.TENANT, query["tenant"]))
            tenants = (query["tenant"],)
        wanted = None if state == ANY_STATE else ApprovalState(state)
        found = await self._store.approvals(wanted, tenants, limit, datetime.now(UTC))
        return JSONResponse({"approvals": [approval_document(one, SHOWN_CHARS) for one in found]})

    async def one(self, operator: Operator, request: Request) -> Response:
        """Tell one approval, with the whole request."""
        query_of(request)
        return JSONResponse(approval_document(await self._found(operator, request)))

    async def approve(self, operator: Operator, request: Request) -> Response:
        """Let the same call, sent again by the same agent, go through once."""
        return await self._rule(operator, request, ApprovalState.APPROVED)

    async def deny(self, operator: Operator, request: Request) -> Response:
        """Refuse the call until its approval would have expired."""
        return await self._rule(operator, request, ApprovalState.DENIED)

    async def _rule(self, operator: Operator, request: Request, state: ApprovalState) -> Response:
        query_of(request)
        reason = reason_of(await members_of(request, _REASON_MEMBERS), required=False)
        approval = await self._found(operator, request)
        if operator.name == approval.binding.agent:
            raise BadRequest("own-request", "Nobody decides on an agent of their own name.", 403)
        if approval.state is not ApprovalState.PENDING:
            raise _not_pending(approval.state)
        ruling = Ruling(approval.id, state, operator.name, reason, datetime.now(UTC))
        await self._store.record(_record(approval, ruling))
        is_done = await self._store.rule_approval(ruling)
        approval = await self._found(operator, request)
        if not is_done:
            raise _not_pending(approval.state)
        return JSONResponse(approval_document(approval))

    async def _found(self, operator: Operator, request: Request) -> Approval:
        """Return an approval of the operator's tenants. Raises BadRequest 404."""
        approval_id = request.path_params["approval"]
        approval = await self._store.approval(approval_id, datetime.now(UTC))
        if approval is None or not operator.covers(approval.binding.tenant):
            raise BadRequest("not-found", "There is no approval of that id.", 404)
        return approval


def approval_document(approval: Approval, max_chars: int | None = None) -> Document:
    """Return an approval; `request.json` is what would be sent, in visible ASCII.

    Whatever could hide or reorder text on a screen is shown as its JSON escape. What is longer than
    `max_chars` is cut and says so. What the tool's schema calls secret was never written down; the
    SHA-256 is of the whole, secrets included.
    """
    binding, text = approval.binding, approval.request.decode()
    return {
        "id": approval.id,
        "state": approval.state.value,
        "tenant": binding.tenant,
        "agent": binding.agent,
        "session_id": approval.session_id,
        "tool": binding.resource_id,
        "effect": approval.effect.value,
        "risk": approval.risk,
        "reasons": [{"id": why.id, "message": why.message} for why in approval.reasons],
        "request": {
            "json": _NOT_PLAIN.sub(_escape, text[:max_chars]),
            "truncated": max_chars is not None and len(text) > max_chars,
            "bytes": len(approval.request),
            "sha256": binding.request_sha256,
        },
        "policy_revision": binding.policy_revision,
        "tool_pin": binding.tool_pin,
        "epoch": approval.epoch,
        "asked_at": time_text(approval.asked_at),
        "expires_at": time_text(approval.expires_at),
        "decided_by": approval.decided_by,
        "decided_at": time_text(approval.decided_at),
        "note": approval.note,
    }


def _escape(found: re.Match[str]) -> str:
    return "\\u007f" if found[0] == "\x7f" else json.dumps(found[0])[1:-1]


def _record(approval: Approval, ruling: Ruling) -> DecisionRecord:
    """Return the audit record of a ruling, written before it is made."""
    binding, action = approval.binding, _DONE[ruling.state]
    told = f"{action} {approval.id} {binding.resource_id} {ruling.note}".strip()
    return DecisionRecord(
        decision_id=new_id("dec"),
        at=ruling.at,
        step_id="",
        tenant=binding.tenant,
        agent=f"operator:{ruling.by}",
        session_id=approval.session_id,
        resource_id=f"operators/{action}",
        effect="",
        verdict=Verdict.ALLOW,
        reasons=(Reason("operator-action", told),),
        arguments_sha256=binding.request_sha256,
        policy_revision=binding.policy_revision,
        epoch=approval.epoch,
    )


def _not_pending(state: ApprovalState) -> BadRequest:
    detail = f"The approval is {state.value}; only a pending one can be decided, and only once."
    return BadRequest("approval-not-pending", detail, 409)
