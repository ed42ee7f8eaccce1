from dataclasses import replace
from typing import Any

import pytest

from proxy.ingress.hook_answers import GO_ON, after, before, refusal
from proxy.ingress.hook_events import HookEvent
from proxy.model.call import Door, ToolCall
from proxy.model.decision import Reason
from proxy.model.ledger import Outcome
from proxy.model.step import Answer

CALL = ToolCall("claude-code", "Bash", b'{"command":"ls"}', Door.HOOKS)
NO = Reason("role-not-allowed", "No role allows it.")
KILLED = Reason("killed", "A kill switch covers this call.")
PERMITTED = Answer("stp_1", "allow", (), Outcome.PERMITTED, arguments=CALL.arguments)
DENIED = Answer("stp_1", "deny", (NO,), Outcome.DENIED, http=403)
TEXT = "Detent: No role allows it. (role-not-allowed)"
STOP = "Detent: A kill switch covers this call. (killed)"


def specific(**members: Any) -> dict[str, Any]:
    return {"hookSpecificOutput": {"hookEventName": "PreToolUse", **members}}


def test_an_allowed_tool_is_answered_with_silence() -> None:
    """The user's own rules still ask what they ask; nothing is widened."""
    assert before(CALL, PERMITTED) == {}


def test_a_refused_tool_gets_its_reasons() -> None:
    """In words its model can read."""
    assert before(CALL, DENIED) == specific(
        permissionDecision="deny", permissionDecisionReason=TEXT
    )


def test_a_kill_stops_the_agent_as_well() -> None:
    """It need not find out call by call."""
    answer = before(CALL, replace(DENIED, reasons=(KILLED,)))
    assert (answer["continue"], answer["stopReason"]) == (False, STOP)
    assert answer["hookSpecificOutput"]["permissionDecision"] == "deny"


def test_a_held_tool_is_refused_with_the_approval_it_waits_for() -> None:
    """The agent's own channel does not approve."""
    pointer = Reason("approval-pending", "Only an operator can approve it, as apr_1.")
    held = Answer("stp_1", "hold", (pointer,), Outcome.PENDING_APPROVAL, http=202)
    answer = before(CALL, held)["hookSpecificOutput"]
    assert answer["permissionDecision"] == "deny"
    assert "apr_1" in answer["permissionDecisionReason"]


def test_a_hold_that_may_be_put_to_the_person_is_put_to_it() -> None:
    """Only a permit with that verdict is."""
    answer = before(CALL, replace(PERMITTED, verdict="hold", reasons=(NO,)))
    assert answer == specific(permissionDecision="ask", permissionDecisionReason=TEXT)


def test_a_preview_says_that_nothing_ran() -> None:
    """A dry run of a tool that Detent does not carry is a refusal."""
    preview = {"tool": "Bash", "effect": "write"}
    answer = before(CALL, replace(DENIED, outcome=Outcome.DRY_RUN, preview=preview, risk=5))
    text = answer["hookSpecificOutput"]["permissionDecisionReason"]
    assert answer["hookSpecificOutput"]["permissionDecision"] == "deny"
    assert "dry run: Bash would have run, with effect write and a cost of 5 points" in text


def test_changed_arguments_are_those_the_tool_runs_with() -> None:
    """And no others are sent back."""
    answer = before(CALL, replace(PERMITTED, arguments=b'{"command":"[masked]"}'))
    assert answer == specific(updatedInput={"command": "[masked]"})


def event(name: str) -> HookEvent:
    return HookEvent(name, "s1", {})


def test_a_tool_that_is_over_is_answered_with_silence() -> None:
    """When there is nothing to say."""
    assert after(event("PostToolUse"), Answer("stp_1", "allow", (), Outcome.DONE)) == GO_ON


@pytest.mark.parametrize(
    ("name", "is_replaced"), [("PostToolUse", True), ("PostToolUseFailure", False)]
)
def test_a_result_the_agent_must_not_see_is_replaced(name: str, is_replaced: bool) -> None:
    """Where the hook can; the agent stops in any case."""
    answer = Answer(
        "stp_1", "deny", (Reason("agent-locked", "Locked."),), Outcome.DONE, result=b'{"a":"[x]"}'
    )
    said = after(event(name), answer)
    assert (said["continue"], said["decision"]) == (False, "block")
    shown = said.get("hookSpecificOutput", {}).get("updatedToolOutput")
    assert shown == ({"a": "[x]"} if is_replaced else None)


@pytest.mark.parametrize(
    ("name", "reason", "answer"),
    [
        ("UserPromptSubmit", NO, {"decision": "block", "reason": TEXT}),
        (
            "UserPromptSubmit",
            KILLED,
            {"continue": False, "stopReason": STOP, "decision": "block", "reason": STOP},
        ),
        ("Stop", KILLED, {"continue": False, "stopReason": STOP}),
        ("SubagentStop", KILLED, {"continue": False, "stopReason": STOP}),
        ("Stop", NO, {}),
        ("SessionEnd", KILLED, {}),
        ("PostToolBatch", KILLED, {"continue": False, "stopReason": STOP}),
        ("SomethingNew", KILLED, {"continue": False, "stopReason": STOP}),
        (
            "PermissionRequest",
            NO,
            {
                "hookSpecificOutput": {
                    "hookEventName": "PermissionRequest",
                    "decision": {"behavior": "deny", "message": TEXT},
                }
            },
        ),
        (
            "Elicitation",
            NO,
            {"hookSpecificOutput": {"hookEventName": "Elicitation", "action": "decline"}},
        ),
    ],
)
def test_every_event_is_refused_in_its_own_words(
    name: str, reason: Reason, answer: dict[str, Any]
) -> None:
    """A kill stops the agent whatever it was about to do."""
    assert refusal(name, (reason,)) == answer


def test_a_permission_request_under_a_kill_is_interrupted() -> None:
    """The turn ends there."""
    decision = refusal("PermissionRequest", (KILLED,))["hookSpecificOutput"]["decision"]
    assert decision == {"behavior": "deny", "message": STOP, "interrupt": True}


@pytest.mark.parametrize("name", ["PreToolUse", "PermissionRequest", "Elicitation", "Stop"])
def test_no_refusal_ever_approves(name: str) -> None:
    """Neither allow nor accept is among its words."""
    said = str(refusal(name, (NO,))) + str(refusal(name, (KILLED,)))
    assert "'allow'" not in said
    assert "'accept'" not in said
