import json

import jsonschema_rs
import pytest

from proxy.errors import BadRequest
from proxy.ingress.agents_openapi import CALLS
from proxy.ingress.hook_answers import after, before, refusal
from proxy.ingress.hook_events import event_of
from proxy.model.call import Door, ToolCall
from proxy.model.ledger import Outcome
from proxy.model.reasons import reason
from proxy.model.step import Answer
from proxy.pipeline.document import HTTP_OF, outcome_document

POST = CALLS["/v1/calls"]["post"]
HOOK = CALLS["/hooks/{client}"]["post"]
TAKEN = jsonschema_rs.validator_for(HOOK["requestBody"]["content"]["application/json"]["schema"])
TOLD = jsonschema_rs.validator_for(
    HOOK["responses"]["200"]["content"]["application/json"]["schema"]
)
USE = {"session_id": "s1", "tool_name": "Bash", "tool_input": {"a": 1}, "tool_use_id": "t1"}


def test_an_outcome_document_is_as_described() -> None:
    """Whatever the outcome."""
    schema = POST["responses"]["200"]["content"]["application/json"]["schema"]
    for outcome in Outcome:
        answer = Answer("stp_1", "allow", (), outcome, result=b'{"x":1}', preview={"a": 1})
        jsonschema_rs.validator_for(schema).validate(json.loads(outcome_document(answer)))


def test_every_status_of_an_outcome_is_described() -> None:
    """Refusals may be outcome documents or problems."""
    assert {str(status) for status in HTTP_OF.values()} <= set(POST["responses"])
    assert len(POST["responses"]["403"]["content"]) == 2


@pytest.mark.parametrize(
    "event",
    [
        USE | {"hook_event_name": "PreToolUse"},
        USE | {"hook_event_name": "PostToolUse", "tool_response": {}},
        {"session_id": "s1", "hook_event_name": "Stop", "tool_name": 5},
        {"session_id": "s1", "hook_event_name": "Pre Tool"},
        {"session_id": "s 1", "hook_event_name": "Stop"},
        {"session_id": "s1"},
        {"hook_event_name": "Stop"},
        {"session_id": "s1", "hook_event_name": None},
        [],
    ],
)
def test_an_event_fits_the_document_when_it_is_taken(event: object) -> None:
    """The two descriptions of an event are one."""
    try:
        event_of(json.dumps(event).encode())
        is_taken = True
    except BadRequest:
        is_taken = False
    assert TAKEN.is_valid(event) is is_taken


@pytest.mark.parametrize("given", ["default-deny", "killed"])
@pytest.mark.parametrize(
    "event", ["PreToolUse", "PostToolUse", "PermissionRequest", "Elicitation", "Stop", "SessionEnd"]
)
def test_a_refusal_of_a_hook_is_as_described(event: str, given: str) -> None:
    """With a stop and without one."""
    TOLD.validate(refusal(event, (reason(given),)))


@pytest.mark.parametrize(
    ("verdict", "arguments"), [("allow", b'{"a":1}'), ("allow", b'{"a":2}'), ("hold", None)]
)
def test_an_answer_to_a_tool_use_is_as_described(verdict: str, arguments: bytes | None) -> None:
    """Silence, other arguments, a question to the user."""
    call = ToolCall("claude-code", "Bash", b'{"a":1}', Door.HOOKS)
    answer = Answer("stp_1", verdict, (), Outcome.PERMITTED, arguments=arguments)
    TOLD.validate(before(call, answer))


def test_what_a_tool_said_may_be_replaced() -> None:
    """By anything: it is what the tool would have said."""
    event = event_of(
        json.dumps(USE | {"hook_event_name": "PostToolUse", "tool_response": 1}).encode()
    )
    answer = Answer("stp_1", "deny", (reason("result-withheld"),), Outcome.DONE, result=b"[1]")
    TOLD.validate(after(event, answer))
