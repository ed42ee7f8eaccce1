import json
from typing import Any

import pytest

from proxy.errors import BadRequest
from proxy.ingress.hook_events import event_of
from proxy.model.call import Door
from proxy.model.hook import claim_of
from proxy.model.ledger import Outcome

PRE: dict[str, Any] = {
    "session_id": "5f5e1f6a-0000-4000-8000-000000000001",
    "cwd": "/srv/detent/scratch",
    "permission_mode": "default",
    "hook_event_name": "PreToolUse",
    "tool_name": "Bash",
    "tool_input": {"command": "ls", "timeout": 1000},
    "tool_use_id": "toolu_01",
}
POST = PRE | {"hook_event_name": "PostToolUse", "tool_response": {"stdout": "a"}}
FAILED = PRE | {"hook_event_name": "PostToolUseFailure", "error": "Exit code 3"}
BATCH = PRE | {"hook_event_name": "PostToolBatch", "tool_calls": [{"tool_use_id": "toolu_01"}]}


def raw(event: dict[str, Any]) -> bytes:
    return json.dumps(event).encode()


def test_a_tool_use_is_a_call_of_the_agents_own_server() -> None:
    """Canonical, with its id as key, and with where the agent is for the policy."""
    call = event_of(raw(PRE)).call("claude-code")
    assert (call.resource_id, call.door) == ("claude-code/Bash", Door.HOOKS)
    assert call.arguments == b'{"command":"ls","timeout":1000}'
    assert call.meta == b'{"cwd":"/srv/detent/scratch","permission_mode":"default"}'
    assert call.idempotency_key == claim_of("toolu_01")


def test_a_call_says_what_is_odd_about_it() -> None:
    """As calls of every other door do."""
    odd = PRE | {"tool_input": {"command": "curl https://a.example/\u202e"}}
    call = event_of(raw(odd)).call("claude-code")
    assert call.flags == ("bidi",)


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("mcp__detent__repo__git_log", ("repo", "git_log")),
        ("mcp__detent-repo__git_log", ("repo", "git_log")),
        ("mcp__detent__status", None),
        ("mcp__detent_repo__git_log", None),
        ("mcp__other__detent__git_log", None),
        ("Bash", None),
        (7, None),
    ],
)
def test_tools_of_this_gateway_are_known_by_their_names(
    name: object, ours: tuple[str, str] | None
) -> None:
    """Those of any other MCP server are tools of the agent's own."""
    assert event_of(raw(PRE | {"tool_name": name})).ours == ours


def test_a_call_that_comes_over_mcp_has_the_form_it_will_have_there() -> None:
    """So that policy decides the same."""
    call = event_of(raw(PRE)).carried_call("repo", "git_log")
    assert (call.resource_id, call.door) == ("repo/git_log", Door.MCP)
    assert call.tool_use_id == "toolu_01"
    assert call.idempotency_key is None


def test_a_tool_use_that_is_over_has_its_result() -> None:
    """As JSON, whatever it is."""
    use = event_of(raw(POST)).use("claude-code")
    assert (use.id, use.tool, use.outcome) == ("toolu_01", "Bash", Outcome.DONE)
    assert use.arguments == b'{"command":"ls","timeout":1000}'
    assert json.loads(use.result) == {"stdout": "a"}


def test_a_tool_use_that_failed_has_its_error() -> None:
    """Monitors see that too."""
    use = event_of(raw(FAILED)).use("claude-code")
    assert (use.outcome, json.loads(use.result)) == (Outcome.FAILED, {"error": "Exit code 3"})


def test_a_batch_names_its_tool_uses() -> None:
    """Those that ran and those that did not."""
    assert event_of(raw(BATCH)).batch == ("toolu_01",)


@pytest.mark.parametrize(
    "answered",
    [b'"a\\u0000b"', b'"\\ud83d"', b"1e400", b'{"n": 123456789012345678901234567890}'],
    ids=["NUL", "half a character", "infinity", "a large number"],
)
def test_what_a_tool_answered_may_be_anything(answered: bytes) -> None:
    """Nothing is decided on it; what cannot be parsed strictly is still looked at."""
    body = raw(POST).replace(b'{"stdout": "a"}', answered)
    assert event_of(body).use("claude-code").id == "toolu_01"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"not json", "not-json"),
        (raw(PRE).replace(b'"ls"', b'"l\\u0000s"'), "nul-character"),
        (raw(POST).replace(b'"ls"', b'"l\\u0000s"'), "nul-character"),
        (raw(POST).replace(b'"cwd"', b'"session_id":"x","cwd"'), "duplicate-key"),
        (raw(POST)[:-1] + b',"x":"\xff"}', "not-utf8"),
        (b'"a\\u0000"', "nul-character"),
        (b"[]", "invalid-hook-event"),
        (raw(PRE | {"hook_event_name": "Pre Tool"}), "invalid-hook-event"),
        (raw(PRE | {"hook_event_name": None}), "invalid-hook-event"),
        (raw(PRE | {"session_id": "a b"}), "invalid-hook-event"),
        (raw(PRE | {"session_id": None}), "invalid-hook-event"),
        (raw(PRE | {"hook_event_name": "PostToolUse"}), "invalid-hook-event"),
    ],
)
def test_what_is_no_event_is_refused(body: bytes, code: str) -> None:
    """Two readers that disagree about it are never given the choice."""
    with pytest.raises(BadRequest) as refused:
        event_of(body)
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"tool_name": "Ba sh"}, "unknown-tool-name"),
        ({"tool_name": None}, "unknown-tool-name"),
        ({"tool_input": "ls"}, "arguments-not-object"),
        ({"tool_input": None}, "arguments-not-object"),
        ({"tool_use_id": ""}, "invalid-hook-event"),
        ({"tool_use_id": "a" * 129}, "invalid-hook-event"),
        ({"cwd": 7}, "invalid-hook-event"),
        ({"permission_mode": "a" * 5000}, "invalid-hook-event"),
    ],
)
def test_a_malformed_call_is_refused(changed: dict[str, Any], code: str) -> None:
    """Nothing is filled in."""
    with pytest.raises(BadRequest) as refused:
        event_of(raw(PRE | changed)).call("claude-code")
    assert refused.value.code == code


@pytest.mark.parametrize("calls", [None, {}, [7], [{}], [{"tool_use_id": "a b"}], [{}] * 1001])
def test_a_malformed_batch_is_refused(calls: object) -> None:
    """Not settled in part."""
    with pytest.raises(BadRequest, match="no hook event"):
        _ = event_of(raw(BATCH | {"tool_calls": calls})).batch
