"""A gateway is killed while a tool has its call: what the next one makes of it, by class."""

import json

import pytest

from tests.harness.gateway import Gateway
from tests.harness.left_open import TOOLS, hang, leave, settled_as, steps
from tests.harness.recorder import Recorder
from tests.harness.world import World


@pytest.fixture(autouse=True)
def tools(world: World) -> None:
    """Tools of every class, with a time limit of a second."""
    world.tools["rec"] |= TOOLS


async def crash(world: World, recorder: Recorder, tool: str, **more: str) -> None:
    """Leave a call open; the tool answers from then on."""
    gateway = Gateway(world)
    await gateway.start()
    await leave(gateway, recorder, tool, **more)
    recorder.release.set()


async def test_a_keyed_call_is_sent_again_under_its_key(world: World, recorder: Recorder) -> None:
    """The same bytes, the same key; the agent's own retry gets the answer."""
    await crash(world, recorder, "hold_keyed", idempotency_key="k1")
    async with Gateway(world) as again:
        row = await settled_as(again, "done")
        first, second = recorder.received
        assert first.body == second.body
        assert first.headers["Idempotency-Key"] == second.headers["Idempotency-Key"]
        assert row["step_id"] in first.headers["Idempotency-Key"]
        status, told = await again.call("hold_keyed", {"text": "x"}, idempotency_key="k1")
        assert (status, told["outcome"], told["result"]["body"]) == (200, "done", {"n": 2})
    assert len(recorder.received) == 2


@pytest.mark.parametrize(
    ("there", "state", "outcome"), [("x", "done", "done"), ("y", "aborted", "failed")]
)
async def test_a_probed_call_is_looked_for(
    world: World, recorder: Recorder, there: str, state: str, outcome: str
) -> None:
    """By its recipe; it is not sent again."""
    await crash(world, recorder, "hold_probed", idempotency_key="k1")
    recorder.reply = {"text": there}
    async with Gateway(world) as again:
        await settled_as(again, state)
        assert [(one.method, one.path) for one in recorder.received] == [
            ("POST", "/hold"), ("GET", "/items/x"),
        ]  # fmt: skip
        _, told = await again.call("hold_probed", {"text": "x"}, idempotency_key="k1")
        assert told["outcome"] == outcome


@pytest.mark.parametrize(("tool", "outcome"), [("hold_opaque", "done"), ("hold_blind", "failed")])
async def test_what_cannot_be_known_is_stuck_for_a_person(
    world: World, recorder: Recorder, tool: str, outcome: str
) -> None:
    """Listed, its points held, never sent again; an operator settles it, and its key is told."""
    await crash(world, recorder, tool, idempotency_key="k1")
    async with Gateway(world) as again:
        row = await settled_as(again, "stuck")
        assert len(recorder.received) == 1
        place = f"/v1/intents/{row['step_id']}/settle"
        body = {"outcome": outcome, "reason": "as the tool's own log has it"}
        assert (await again.operate("POST", place, body))[0] == 200
        assert [one["step_id"] for one in await steps(again, outcome)] == [row["step_id"]]
        assert (await again.operate("POST", place, body))[0] == 409
        _, told = await again.call(tool, {"text": "x"}, idempotency_key="k1")
        assert (told["step_id"], told["outcome"]) == (row["step_id"], outcome)


async def test_an_opaque_call_that_was_never_sent_is_aborted(
    world: World, recorder: Recorder
) -> None:
    """Its state proves it, because `sending` is durable before the first byte."""
    point = world.directory / "point"
    point.write_text("before-sending 1")
    world.program = ("tests.harness.crashing", str(point))
    gateway = Gateway(world)
    await gateway.start()
    with pytest.raises(Exception, match=r"(?i)disconnected|reset"):
        await gateway.call("hold_opaque", {"text": "x"})
    await gateway.kill9()
    world.program = ("proxy",)
    async with Gateway(world) as again:
        row = await settled_as(again, "aborted")
        assert row["detail"] == "recovery: never-dispatched"
    assert recorder.received == []


async def test_nothing_is_sent_again_under_a_kill(world: World, recorder: Recorder) -> None:
    """It waits for the lift."""
    await crash(world, recorder, "hold_keyed")
    async with Gateway(world) as halted:
        _, killed = await halted.operate("POST", "/killswitch", {})
        (row,) = await steps(halted, "unknown")
        await halted.stop()
    async with Gateway(world) as again:
        assert len(recorder.received) == 1
        lifted = {"reason": "over"}
        await again.operate("DELETE", f"/killswitch/{killed['epoch']}", lifted)
        assert (await settled_as(again, "done"))["step_id"] == row["step_id"]
    assert len(recorder.received) == 2


async def test_a_call_that_is_under_way_is_left_alone(world: World, recorder: Recorder) -> None:
    """However often recovery looks meanwhile."""
    world.tools["rec"]["hold_keyed"] = TOOLS["hold_keyed"] | {"timeout": "20s"}
    async with Gateway(world) as gateway:
        task = await hang(gateway, recorder, "hold_keyed")
        with pytest.raises(TimeoutError):
            await settled_as(gateway, "unknown", within_s=5)
        recorder.release.set()
        assert (await task)[1]["outcome"] == "done"
    assert len(recorder.received) == 1
    assert json.loads(recorder.received[0].body) == {"text": "x"}
