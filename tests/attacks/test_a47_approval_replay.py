"""A47: an approval is used for another call, twice, late, by others, or after things have changed.

Each time the tool has received what was approved at most once, and nothing else.
"""

import asyncio
from typing import Any

import pytest

from proxy.model.token import TokenKind, new_token, token_sha256
from tests.harness.gateway import Gateway, World
from tests.harness.recorder import Recorder

DROP = {"text": "table 7"}


async def held(gateway: Gateway, arguments: Any = None, **more: Any) -> str:
    """Send the irreversible call and return the approval it waits for."""
    status, answer = await gateway.call("drop", arguments or DROP, **more)
    assert (status, answer["outcome"], answer["verdict"]) == (202, "pending_approval", "hold")
    assert answer["approval"]["state"] == "pending"
    approval_id: str = answer["approval"]["id"]
    return approval_id


async def approve(gateway: Gateway, approval_id: str, **more: Any) -> int:
    """Approve and return the status."""
    path = f"/v1/approvals/{approval_id}/approve"
    return (await gateway.operate("POST", path, {"reason": "fine"}, **more))[0]


@pytest.fixture
async def approval_id(gateway: Gateway) -> str:
    """An approval that was given and not used."""
    given = await held(gateway)
    assert await approve(gateway, given) == 200
    return given


async def test_a47_the_approved_call_goes_through_exactly_once(
    gateway: Gateway, recorder: Recorder, approval_id: str
) -> None:
    """The very bytes that were approved; sent again, it holds again."""
    status, answer = await gateway.call("drop", DROP)
    assert (status, answer["outcome"]) == (200, "done")
    assert recorder.bodies() == [DROP]
    assert await held(gateway) != approval_id
    assert len(recorder.received) == 1


@pytest.mark.parametrize("arguments", [{"text": "table 8"}, {"text": "table 7", "n": 1}, {}])
async def test_a47_it_is_good_for_no_other_arguments(
    gateway: Gateway, recorder: Recorder, approval_id: str, arguments: dict[str, Any]
) -> None:
    """Another value, one more, none."""
    assert await held(gateway, arguments or {"n": 0}) != approval_id
    assert recorder.received == []


async def test_a47_of_many_at_once_one_goes_through(
    gateway: Gateway, recorder: Recorder, approval_id: str
) -> None:
    """Ten of the same call: one effect."""
    answers = await asyncio.gather(*(gateway.call("drop", DROP) for _ in range(10)))
    outcomes = [answer["outcome"] for _, answer in answers if "outcome" in answer]
    assert outcomes.count("done") == 1
    assert len(recorder.received) == 1


async def test_a47_it_is_neither_given_nor_used_late(world: World, recorder: Recorder) -> None:
    """A second is over: nothing to approve, nothing to use."""
    world.settings = {"approvals": {"expires": "1s"}}
    async with Gateway(world) as gateway:
        used_late, given_late = await held(gateway), await held(gateway, {"text": "other"})
        assert await approve(gateway, used_late) == 200
        await asyncio.sleep(1.05)
        assert await approve(gateway, given_late) == 409
        assert await held(gateway) != used_late
    assert recorder.received == []


async def test_a47_the_requester_cannot_approve(gateway: Gateway, recorder: Recorder) -> None:
    """Neither with its token nor with that of a session it opened."""
    approval_id = await held(gateway)
    _, session = await gateway.ask("POST", "/v1/sessions", {})
    for token in (gateway.world.agent_token, gateway.world.other_token, session["token"], "x"):
        assert await approve(gateway, approval_id, token=token) in {401, 403}
    assert await held(gateway) == approval_id
    assert recorder.received == []


async def test_a47_another_tenant_has_its_own_approvals(
    gateway: Gateway, recorder: Recorder, approval_id: str
) -> None:
    """The same call of another agent is another question."""
    other = await held(gateway, token=gateway.world.other_token)
    assert other != approval_id
    assert recorder.received == []


async def test_a47_an_operator_of_another_tenant_approves_nothing(
    world: World, recorder: Recorder
) -> None:
    """It does not exist for them."""
    token = new_token(TokenKind.OPERATOR)
    entry = {"name": "theirs", "roles": ["approve"], "tenants": ["globex"]}
    identity = world._identity()
    identity["operators"].append(entry | {"token_sha256": token_sha256(token)})
    world.settings = {"identity": identity}
    async with Gateway(world) as gateway:
        approval_id = await held(gateway)
        assert await approve(gateway, approval_id, token=token) == 404
        _, listed = await gateway.operate("GET", "/v1/approvals", token=token)
        assert listed == {"approvals": []}
        assert await held(gateway) == approval_id
    assert recorder.received == []


@pytest.mark.parametrize("change", ["policy", "tool"])
async def test_a47_a_change_of_policy_or_tool_voids_it(
    gateway: Gateway, recorder: Recorder, approval_id: str, change: str
) -> None:
    """What was approved under one is asked anew under the other."""
    world = gateway.world
    if change == "policy":
        world.roles["nobody"] = {"tools": ["none/*"]}
    else:
        world.tools["rec"]["drop"]["description"] = "Drops everything."
    world.write()
    assert (await gateway.operate("POST", "/v1/policy/reload", {}))[0] == 200
    assert await held(gateway) != approval_id
    assert recorder.received == []


@pytest.mark.parametrize("scope", ["global", "agent:acme/tester", "tool:rec/drop"])
async def test_a47_a_kill_and_its_lift_void_it(
    gateway: Gateway, recorder: Recorder, approval_id: str, scope: str
) -> None:
    """After an incident people decide anew."""
    _, kill = await gateway.operate("POST", "/killswitch", {"scope": scope})
    lift = {"reason": "over"}
    assert (await gateway.operate("DELETE", f"/killswitch/{kill['epoch']}", lift))[0] == 200
    assert await held(gateway) != approval_id
    assert recorder.received == []


async def test_a47_it_is_still_good_after_a_crash_and_still_only_once(
    world: World, recorder: Recorder
) -> None:
    """What was used stays used, what was not can be."""
    async with Gateway(world) as gateway:
        used, unused = await held(gateway), await held(gateway, {"text": "other"})
        for one in (used, unused):
            assert await approve(gateway, one) == 200
        assert (await gateway.call("drop", DROP))[0] == 200
        await gateway.kill9()
    async with Gateway(world) as gateway:
        assert await held(gateway) != used
        assert (await gateway.call("drop", {"text": "other"}))[0] == 200
    assert recorder.bodies() == [DROP, {"text": "other"}]
