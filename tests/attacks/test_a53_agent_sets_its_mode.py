"""A53: an agent says that it is not a dry run, in the body, a header or its session."""

from typing import Any

import pytest

from tests.harness.gateway import Gateway
from tests.harness.recorder import Recorder
from tests.harness.world import World

BODY = {"server": "rec", "tool": "write", "arguments": {"text": "x"}}


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        ({"dry_run": False}, {}),
        ({}, {"X-Detent-Dry-Run": "false"}),
        ({}, {"X-Detent-Mode": "read_write"}),
    ],
)
async def test_a53_a_toggle_holds_whatever_the_agent_says(
    world: World, recorder: Recorder, body: dict[str, Any], headers: dict[str, str]
) -> None:
    """Toggled on the server: a preview, 0 bytes at the tool."""
    world.settings = {"dry_run": True}
    async with Gateway(world) as gateway:
        headers = headers | {"Authorization": f"Bearer {gateway.world.agent_token}"}
        _, answer = await gateway.ask("POST", "/v1/calls", BODY | body, headers=headers)
        assert answer["outcome"] == "dry_run"
    assert recorder.received == []


@pytest.mark.parametrize("member", ["mode", "session", "sandbox", "Dry_Run"])
async def test_a53_the_envelope_takes_no_mode(
    gateway: Gateway, recorder: Recorder, member: str
) -> None:
    """An unknown member is refused, not ignored."""
    status, _ = await gateway.ask("POST", "/v1/calls", BODY | {member: "read_write"})
    assert status == 400
    assert recorder.received == []


async def test_a53_a_dry_run_session_stays_one(gateway: Gateway, recorder: Recorder) -> None:
    """A call cannot ask its way out of its session's mode."""
    _, session = await gateway.ask("POST", "/v1/sessions", {"mode": "dry_run"})
    _, answer = await gateway.call("write", {"text": "x"}, token=session["token"], dry_run=False)
    assert answer["outcome"] == "dry_run"
    assert recorder.received == []


async def test_a53_an_operator_toggles_an_agent(gateway: Gateway, recorder: Recorder) -> None:
    """On and off on the operators' port, durable, for one agent only."""
    scope = {"scope": "agent:acme/tester"}
    assert (await gateway.operate("PUT", "/v1/dry-run", scope))[0] == 200
    assert (await gateway.call("write", {"text": "x"}))[1]["outcome"] == "dry_run"
    other = await gateway.call("write", {"text": "x"}, token=gateway.world.other_token)
    assert other[1]["outcome"] == "done"
    assert (await gateway.operate("DELETE", "/v1/dry-run", scope))[0] == 200
    assert (await gateway.call("write", {"text": "x"}))[1]["outcome"] == "done"
    assert len(recorder.received) == 2
