import json
from typing import Any

import pytest
from starlette.types import ASGIApp

from proxy.errors import Refused
from proxy.model.call import Door
from proxy.model.ledger import Outcome
from proxy.model.step import Answer
from tests.harness.doors import RecordingGate, Reply, ask, refused

SESSION = "in claude-code s1"
PRE: dict[str, Any] = {
    "session_id": "s1",
    "hook_event_name": "PreToolUse",
    "tool_name": "Bash",
    "tool_input": {"command": "ls"},
    "tool_use_id": "t1",
}
POST = PRE | {"hook_event_name": "PostToolUse", "tool_response": {"stdout": ""}}
MCP = {"tool_name": "mcp__detent__repo__git_log"}


async def post(app: ASGIApp, event: dict[str, Any], client: str = "claude-code") -> Reply:
    return await ask(app, "POST", f"/hooks/{client}", json.dumps(event).encode())


def permit(gate: RecordingGate) -> None:
    gate.answer = lambda call: Answer(
        "stp_1", "allow", (), Outcome.PERMITTED, arguments=call.arguments
    )


async def test_a_tool_use_is_decided_in_the_session_of_its_hook(
    app: ASGIApp, gate: RecordingGate
) -> None:
    """As a call of the agent's own server."""
    permit(gate)
    reply = await post(app, PRE)
    assert (reply.status, reply.json) == (200, {})
    assert gate.hooks.said == [("permit", SESSION, False)]
    assert [(call.resource_id, call.door) for call in gate.calls] == [
        ("claude-code/Bash", Door.HOOKS)
    ]


async def test_a_refusal_is_a_success_that_says_no(app: ASGIApp, gate: RecordingGate) -> None:
    """Status 200: the words are for the agent's model."""
    gate.answer = refused("default-deny")
    reply = await post(app, PRE)
    assert reply.status == 200
    assert reply.json["hookSpecificOutput"]["permissionDecision"] == "deny"


async def test_another_program_has_another_server(app: ASGIApp, gate: RecordingGate) -> None:
    """Its name is the path's last segment."""
    permit(gate)
    await post(app, PRE, "codex")
    assert gate.calls[0].server == "codex"
    assert gate.hooks.said == [("permit", "in codex s1", False)]


async def test_a_tool_of_this_gateway_is_announced_and_only_looked_at(
    app: ASGIApp, gate: RecordingGate
) -> None:
    """The call itself comes over MCP."""
    permit(gate)
    assert (await post(app, PRE | MCP)).json == {}
    assert gate.hooks.said == [("announce", SESSION, "t1"), ("permit", SESSION, True)]
    assert (gate.calls[0].resource_id, gate.calls[0].door) == ("repo/git_log", Door.MCP)


async def test_what_a_tool_did_is_concluded(app: ASGIApp, gate: RecordingGate) -> None:
    """In the session it was asked in."""
    assert (await post(app, POST)).json == {}
    ((what, session, use),) = gate.hooks.said
    assert (what, session, use.id, use.outcome) == ("conclude", SESSION, "t1", Outcome.DONE)


async def test_an_agent_that_must_not_go_on_is_told_so(app: ASGIApp, gate: RecordingGate) -> None:
    """The result was seen by a monitor."""
    reasons = Refused.because("canary-touched").refusal.reasons
    gate.hooks.concluded = Answer("stp_1", "deny", reasons, Outcome.DONE)
    assert (await post(app, POST)).json["continue"] is False


@pytest.mark.parametrize(
    ("carried", "event", "said"),
    [
        (True, "PostToolUse", "check"),
        (False, "PostToolUse", "unasked"),
        (None, "PostToolUse", "unasked"),
        (False, "PostToolUseFailure", "check"),
    ],
)
async def test_a_tool_of_this_gateway_was_settled_by_its_call(
    app: ASGIApp, gate: RecordingGate, carried: bool | None, event: str, said: str
) -> None:
    """One that ran without a call of ours ran somewhere else under our name."""
    gate.hooks.carried = carried
    await post(app, POST | MCP | {"hook_event_name": event, "error": "x"})
    assert [what for what, *_ in gate.hooks.said] == [said]


async def test_a_batch_that_is_over_closes_its_tool_uses(app: ASGIApp, gate: RecordingGate) -> None:
    """Those the person refused were never told of otherwise."""
    batch = PRE | {"hook_event_name": "PostToolBatch", "tool_calls": [{"tool_use_id": "t1"}]}
    assert (await post(app, batch)).json == {}
    assert gate.hooks.said == [("close", SESSION, ("t1",)), ("check", SESSION, "")]


async def test_the_end_of_a_session_closes_and_leaves_it(app: ASGIApp, gate: RecordingGate) -> None:
    """Also under a kill: there is nothing left to stop."""
    gate.killed = True
    assert (await post(app, PRE | {"hook_event_name": "SessionEnd"})).json == {}
    assert [what for what, *_ in gate.hooks.said] == ["close all", "leave"]


@pytest.mark.parametrize(
    "name", ["UserPromptSubmit", "Stop", "PermissionRequest", "Elicitation", "SomethingNew"]
)
async def test_every_other_event_passes_until_a_kill(
    app: ASGIApp, gate: RecordingGate, name: str
) -> None:
    """Nothing is approved, nothing is widened: silence, or an end."""
    event = PRE | {"hook_event_name": name}
    assert (await post(app, event)).json == {}
    gate.killed = True
    assert (await post(app, event)).json["continue"] is False


async def test_a_session_that_cannot_be_opened_refuses_the_tool(
    app: ASGIApp, gate: RecordingGate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its reasons are those of the desk."""

    async def full(*_: object) -> None:
        raise Refused.because("too-many-sessions")

    monkeypatch.setattr(gate.hooks, "enter", full)
    answer = (await post(app, PRE)).json["hookSpecificOutput"]
    assert answer["permissionDecision"] == "deny"
    assert "too-many-sessions" in answer["permissionDecisionReason"]


async def test_a_locked_agent_is_told_in_its_own_words(
    app: ASGIApp, gate: RecordingGate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plain 403 would only block one call after the other."""

    async def locked(_: str) -> None:
        raise Refused.because("agent-locked")

    monkeypatch.setattr(gate, "authenticate", locked)
    assert (await post(app, PRE)).json["continue"] is False
    broken = await ask(app, "POST", "/hooks/claude-code", b"[]")
    assert broken.status == 400


@pytest.mark.parametrize(
    ("reason", "status"),
    [("not-authenticated", 401), ("session-closed", 403), ("store-unavailable", 503)],
)
async def test_nobody_that_is_known_gets_a_problem(
    app: ASGIApp, gate: RecordingGate, monkeypatch: pytest.MonkeyPatch, reason: str, status: int
) -> None:
    """No status of success, so a hook that has to block blocks."""

    async def unknown(_: str) -> None:
        raise Refused.because(reason)

    monkeypatch.setattr(gate, "authenticate", unknown)
    reply = await post(app, PRE)
    assert (reply.status, gate.calls) == (status, [])
    assert reply.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "body", [b"{}", b"[]", b"nothing", json.dumps(PRE | {"tool_input": 7}).encode()]
)
async def test_a_malformed_event_is_refused_and_audited(
    app: ASGIApp, gate: RecordingGate, body: bytes
) -> None:
    """The agent's hook blocks on it."""
    reply = await ask(app, "POST", "/hooks/claude-code", body)
    assert (reply.status, gate.calls) == (400, [])
    assert [door for _, door in gate.rejected] == [Door.HOOKS]


async def test_only_posts_to_one_name_are_taken(app: ASGIApp) -> None:
    """The guard knows the path."""
    assert (await ask(app, "GET", "/hooks/claude-code")).status == 405
    assert (await ask(app, "POST", "/hooks/claude-code/x", b"{}")).status == 404


@pytest.mark.parametrize("client", ["a~b", "x" * 129, "a:b"])
async def test_a_client_has_the_name_of_a_server(
    app: ASGIApp, gate: RecordingGate, client: str
) -> None:
    """No manifest could have an entry for another; nothing is kept under such a name."""
    for event in (PRE, PRE | {"hook_event_name": "SessionEnd"}):
        reply = await post(app, event, client)
        assert (reply.status, reply.json["code"]) == (404, "not-found")
    assert gate.hooks.said == []
