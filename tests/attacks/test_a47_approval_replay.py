"""A47: an approval is used for another call, twice, late, by others, or after things have changed.

Each time the tool has received what was approved at most once, and nothing else.
"""

import asyncio
import itertools
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from proxy.model.token import TokenKind, new_token, token_sha256
from tests.harness.gateway import Gateway
from tests.harness.recorder import Recorder
from tests.harness.standing import Standing
from tests.harness.world import World

module = pytest.mark.asyncio(loop_scope="module")

DROP = {"text": "table 7"}
NUMBERS = itertools.count()


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


@dataclass(frozen=True)
class Approved:
    """A call that was approved and not yet made; no other test makes the same."""

    gateway: Gateway
    recorder: Recorder
    arguments: dict[str, Any]
    id: str

    async def held_anew(self, arguments: Any = None, **more: Any) -> bool:
        """Whether the call, or one with other arguments, waits for another approval; 0 bytes."""
        other = await held(self.gateway, arguments or self.arguments, **more)
        return other != self.id and self.recorder.received == []


@pytest_asyncio.fixture(loop_scope="module")
async def approved(standing: Standing) -> Approved:
    """A call of its own for each test of this file's gateway."""
    arguments = {"text": f"table {next(NUMBERS)}"}
    given = await held(standing.gateway, arguments)
    assert await approve(standing.gateway, given) == 200
    return Approved(standing.gateway, standing.recorder, arguments, given)


@module
async def test_a47_the_approved_call_goes_through_exactly_once(approved: Approved) -> None:
    """The very bytes that were approved; sent again, it holds again."""
    status, answer = await approved.gateway.call("drop", approved.arguments)
    assert (status, answer["outcome"]) == (200, "done")
    assert approved.recorder.bodies() == [approved.arguments]
    assert await held(approved.gateway, approved.arguments) != approved.id
    assert len(approved.recorder.received) == 1


@module
@pytest.mark.parametrize("changes", [{"text": "all tables"}, {"n": 1}, {"data": None}])
async def test_a47_it_is_good_for_no_other_arguments(
    approved: Approved, changes: dict[str, Any]
) -> None:
    """Another value, one more, one that is null."""
    assert await approved.held_anew(approved.arguments | changes)


@module
async def test_a47_of_many_at_once_one_goes_through(approved: Approved) -> None:
    """Ten of the same call: one effect."""
    calls = (approved.gateway.call("drop", approved.arguments) for _ in range(10))
    answers = await asyncio.gather(*calls)
    outcomes = [answer["outcome"] for _, answer in answers if "outcome" in answer]
    assert outcomes.count("done") == 1
    assert len(approved.recorder.received) == 1


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


@module
async def test_a47_the_requester_cannot_approve(standing: Standing) -> None:
    """Neither with its token nor with that of a session it opened."""
    gateway = standing.gateway
    approval_id = await held(gateway)
    _, session = await gateway.ask("POST", "/v1/sessions", {})
    for token in (gateway.world.agent_token, gateway.world.other_token, session["token"], "x"):
        assert await approve(gateway, approval_id, token=token) in {401, 403}
    assert await held(gateway) == approval_id
    assert standing.recorder.received == []


@module
async def test_a47_another_tenant_has_its_own_approvals(approved: Approved) -> None:
    """The same call of another agent is another question."""
    assert await approved.held_anew(token=approved.gateway.world.other_token)


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


@module
@pytest.mark.parametrize("change", ["policy", "tool"])
async def test_a47_a_change_of_policy_or_tool_voids_it(approved: Approved, change: str) -> None:
    """What was approved under one is asked anew under the other."""
    world = approved.gateway.world
    if change == "policy":
        world.roles["nobody"] = {"tools": ["none/*"]}
    else:
        world.tools["rec"]["drop"]["description"] = "Drops everything."
    world.write()
    assert (await approved.gateway.operate("POST", "/v1/policy/reload", {}))[0] == 200
    assert await approved.held_anew()


@module
@pytest.mark.parametrize("scope", ["global", "agent:acme/tester", "tool:rec/drop"])
async def test_a47_a_kill_and_its_lift_void_it(approved: Approved, scope: str) -> None:
    """After an incident people decide anew."""
    _, kill = await approved.gateway.operate("POST", "/killswitch", {"scope": scope})
    lifting = ("DELETE", f"/killswitch/{kill['epoch']}", {"reason": "over"})
    assert (await approved.gateway.operate(*lifting))[0] == 200
    assert await approved.held_anew()


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
