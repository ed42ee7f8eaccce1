"""What Claude Code is told: its hooks' own JSON.

An allowed call is answered with silence. `permissionDecision: allow` would skip the questions that
the user's own rules ask; Detent only ever takes away.
"""

import json
from collections.abc import Iterable
from typing import Any

from proxy.ingress.hook_events import FAILED, POST, PRE, SESSION_END, HookEvent
from proxy.model.call import ToolCall
from proxy.model.decision import Reason, Verdict
from proxy.model.ledger import Outcome
from proxy.model.step import Answer

Document = dict[str, Any]

GO_ON: Document = {}

# An agent that gets one of these would only be refused again and again.
STOPS = frozenset({"agent-locked", "canary-touched", "killed"})

_ELICITATION, _PERMISSION, _PROMPT = "Elicitation", "PermissionRequest", "UserPromptSubmit"
_SILENT = frozenset({SESSION_END, "Notification"})


def before(call: ToolCall, answer: Answer) -> Document:
    """Answer a PreToolUse."""
    if answer.outcome is not Outcome.PERMITTED:
        return refusal(PRE, _reasons(answer))
    if answer.verdict == Verdict.HOLD:
        return _specific(
            PRE, permissionDecision="ask", permissionDecisionReason=_text(answer.reasons)
        )
    if answer.arguments is None or answer.arguments == call.arguments:
        return GO_ON
    return _specific(PRE, updatedInput=json.loads(answer.arguments))


def after(event: HookEvent, answer: Answer) -> Document:
    """Answer a PostToolUse or PostToolUseFailure."""
    if answer.verdict != Verdict.DENY:
        return GO_ON
    document = refusal(event.name, answer.reasons)
    if answer.result is not None and event.name == POST:
        document |= _specific(POST, updatedToolOutput=json.loads(answer.result))
    return document


def refusal(event: str, reasons: tuple[Reason, ...]) -> Document:
    """Answer an event that must not go on for these reasons."""
    text = _text(reasons)
    stops = any(given.id in STOPS for given in reasons)
    stop: Document = {"continue": False, "stopReason": text} if stops else {}
    if event == PRE:
        denied = {"permissionDecision": "deny", "permissionDecisionReason": text}
        return stop | _specific(PRE, **denied)
    if event == _PERMISSION:
        decision = {"behavior": "deny", "message": text} | ({"interrupt": True} if stops else {})
        return stop | _specific(_PERMISSION, decision=decision)
    if event == _ELICITATION:
        return stop | _specific(_ELICITATION, action="decline")
    if event in {_PROMPT, POST, FAILED}:
        return stop | {"decision": "block", "reason": text}
    return GO_ON if event in _SILENT else stop


def _reasons(answer: Answer) -> tuple[Reason, ...]:
    if answer.outcome is not Outcome.DRY_RUN:
        return answer.reasons
    preview = answer.preview or {}
    text = (
        f"This is a dry run: {preview.get('tool')} would have run, with effect "
        f"{preview.get('effect')} and a cost of {answer.risk} points. Nothing was run."
    )
    return (Reason("dry-run", text), *answer.reasons)


def _text(reasons: Iterable[Reason]) -> str:
    return "Detent: " + " ".join(f"{given.message} ({given.id})" for given in reasons)


def _specific(event: str, **members: Any) -> Document:
    return {"hookSpecificOutput": {"hookEventName": event, **members}}
