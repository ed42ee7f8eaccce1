import json
from dataclasses import replace
from typing import Any

import pytest

from proxy.errors import Refused
from proxy.model.call import Door, Round, ToolCall
from proxy.model.decision import Decision
from proxy.model.step import Step
from proxy.pipeline.decide import Decider, _session, decision_body


async def test_the_policy_reads_the_bytes_the_tool_gets(house: Any) -> None:
    """Same arguments, same hash, in input and on the wire."""
    await house.call(arguments={"path": "a", "n": 3})
    given = house.engine.inputs[0]
    assert given["context"]["arguments"] == json.loads(house.tool.received[0])
    assert given["resource"]["id"] == "repo/write_file"
    assert given["subject"]["roles"] == ["maintainer"]
    assert given["action"] == {"name": "tools/call", "effect": "write", "dry_run": False}


async def test_the_canonical_bytes_go_in_unchanged(house: Any) -> None:
    """The body holds the arguments byte for byte."""
    caller = await house.caller()
    arguments = b'{"path":"\xc3\xa9 \\"q\\""}'
    call = ToolCall("repo", "read_file", arguments, Door.CALLS)
    step = Step("stp", call, caller.principal, caller.session, 0, caller.session.mode)
    step = house.stages.resolve(await house.stages.admit(step))
    assert b'"arguments":' + arguments + b"," in decision_body(step, "sha256:r")


async def test_the_session_carries_budget_labels_and_the_chain(house: Any) -> None:
    """A second call sees the first one."""
    await house.call()
    await house.call()
    session = house.engine.inputs[1]["context"]["session"]
    assert session["budget"]["risk"] == {"limit": 100, "used": 5, "held": 0}
    assert session["agent_budget"]["risk"]["limit"] == 200
    assert session["recent"] == [{"tool": "repo/write_file", "verdict": "allow", "outcome": "done"}]
    assert session["step"] == 2


async def test_a_step_that_skipped_a_stage_is_not_decided(house: Any) -> None:
    """Without manifest or view there is nothing to decide on."""
    caller = await house.caller()
    call = ToolCall("repo", "read_file", b"{}", Door.CALLS)
    step = Step("stp", call, caller.principal, caller.session, 0, caller.session.mode)
    admitted = await house.stages.admit(step)
    for unready in (
        step,
        admitted,
        replace(
            house.stages.resolve(replace(admitted, call=replace(call, arguments=b'{"path":"a"}'))),
            view=None,
        ),
    ):
        with pytest.raises(Refused):
            decision_body(unready, "sha256:r")
    with pytest.raises(Refused):
        _session(step)


async def test_the_policy_reads_all_that_reaches_the_tool(house: Any) -> None:
    """What a client sends beside the arguments is decided on and forwarded like them."""
    later = Round("stp_1", 2, b'{"name":{"action":"accept"}}', "state")
    call = ToolCall(
        "repo", "read_file", b'{"path":"a"}', Door.MCP,
        extras=b'{"task":{"ttl":1}}', meta=b'{"trace":"x"}', round=later,
    )  # fmt: skip
    await house.pipeline.run(await house.caller(), call)
    context = house.engine.inputs[0]["context"]
    assert context["extras"] == {"task": {"ttl": 1}}
    assert context["meta"] == {"trace": "x"}
    assert context["input_responses"] == {"name": {"action": "accept"}}
    sent = house.tool.calls[0]
    assert (sent.extras, sent.meta, sent.round) == (call.extras, call.meta, later)


async def test_a_method_is_a_resource_of_its_own(house: Any) -> None:
    """Its name is the action, and its params are the arguments."""
    call = ToolCall("repo", "resources/read", b'{"uri":"file:///a"}', Door.MCP)
    await house.pipeline.run(await house.caller(), call)
    given = house.engine.inputs[0]
    assert given["action"]["name"] == "resources/read"
    assert given["resource"]["type"] == "method"
    assert given["context"]["arguments"] == {"uri": "file:///a"}
    assert house.tool.calls[0].method == "resources/read"


class Kept:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.noted: list[tuple[bytes, bytes, Decision]] = []

    def note(self, body: bytes, schema: bytes, decision: Decision) -> None:
        self.noted.append((body, schema, decision))


async def test_every_decision_is_told_with_the_schema_of_its_arguments(house: Any) -> None:
    """The one that the agent gets, under its id; what has no definition has no schema."""
    caller = await house.caller()
    call = ToolCall("repo", "read_file", b'{"path":"a"}', Door.CALLS)
    step = Step("stp", call, caller.principal, caller.session, 0, caller.session.mode)
    resolved = house.stages.resolve(await house.stages.admit(step))
    kept = Kept()
    decide = Decider(house.stages.decide._policy, house.stages.decide._metrics, kept)
    decided = await decide(resolved)
    await decide(replace(resolved, definition=None))
    (body, schema, decision), (_, nothing, _) = kept.noted
    assert decision is decided.decision
    assert json.loads(body)["input"]["context"]["arguments"] == {"path": "a"}
    assert schema == resolved.definition.input_schema
    assert nothing == b""
