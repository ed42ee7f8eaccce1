"""The outcome document (CONTRACTS section 5): an Answer as JSON, and back for replays."""

import json
from typing import Any

from pydantic_core import to_json

from proxy.model.decision import Reason
from proxy.model.ledger import IntentState, Outcome, StepRow
from proxy.model.reasons import reason
from proxy.model.session import BudgetView
from proxy.model.step import Answer


def outcome_document(answer: Answer) -> bytes:
    """Return the document; the tool's own JSON goes in as it came."""
    members: dict[str, Any] = {
        "step_id": answer.step_id,
        "attempt": answer.attempt,
        "verdict": answer.verdict,
        "reasons": [{"id": given.id, "message": given.message} for given in answer.reasons],
        "outcome": answer.outcome,
        "is_error": answer.is_error,
        "cost": {"risk": answer.risk},
        "budget": _budget(answer.budget),
        "policy_revision": answer.policy_revision,
        "decision_id": answer.decision_id,
        "epoch": answer.epoch,
    }
    if answer.is_rpc_error:
        members["is_rpc_error"] = True
    if answer.preview is not None:
        members["preview"] = answer.preview
    if answer.approval is not None:
        members["approval"] = answer.approval
    document = to_json(members)
    if answer.result is None:
        return document
    return document[:-1] + b',"result":' + answer.result + b"}"


def settled_document(row: StepRow, state: IntentState) -> bytes:
    """Return what a repeated key of a step gets that was settled and whose own answer is lost."""
    is_done = state is IntentState.DONE
    return outcome_document(
        Answer(
            step_id=row.intent.step_id,
            verdict="allow",
            reasons=() if is_done else (reason("recovered-aborted"),),
            outcome=Outcome.DONE if is_done else Outcome.FAILED,
            is_error=not is_done,
            risk=row.risk,
            policy_revision=row.policy_revision,
            decision_id=row.decision_id,
            epoch=row.intent.epoch,
        )
    )


def parse_document(document: bytes) -> Answer:
    """Return the answer a stored document stands for. Raises ValueError, KeyError."""
    members, result = _parted(document)
    budget = (members["budget"] or {}).get("risk")
    return Answer(
        step_id=members["step_id"],
        verdict=members["verdict"],
        reasons=tuple(Reason(given["id"], given["message"]) for given in members["reasons"]),
        outcome=Outcome(members["outcome"]),
        http=HTTP_OF[Outcome(members["outcome"])],
        attempt=members["attempt"],
        result=result,
        is_error=members["is_error"],
        is_rpc_error=members.get("is_rpc_error", False),
        risk=members["cost"]["risk"],
        budget=BudgetView(budget["limit"], budget["used"], budget["held"]) if budget else None,
        policy_revision=members["policy_revision"],
        decision_id=members["decision_id"],
        epoch=members["epoch"],
    )


HTTP_OF: dict[Outcome, int] = {
    Outcome.DONE: 200,
    Outcome.DRY_RUN: 200,
    Outcome.FAILED: 502,
    Outcome.UNKNOWN: 504,
    Outcome.DENIED: 403,
    Outcome.PENDING_APPROVAL: 202,
    Outcome.INPUT_REQUIRED: 200,
    Outcome.PERMITTED: 200,
}


def _parted(document: bytes) -> tuple[dict[str, Any], bytes | None]:
    """Return the members before the result, and its text: it is last, and not written anew."""
    head, mark, rest = document.partition(b',"result":')
    if not mark:
        return json.loads(document), None
    return json.loads(head + b"}"), rest[:-1]


def _budget(view: BudgetView | None) -> dict[str, Any] | None:
    if view is None:
        return None
    return {"risk": {"limit": view.limit, "used": view.used, "held": view.held}}
