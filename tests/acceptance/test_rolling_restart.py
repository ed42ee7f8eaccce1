"""Gateways on one PostgreSQL, restarted one after the other while agents go on calling."""

import asyncio
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.harness.gateway import Gateway
from tests.harness.postgres import Server, store_at
from tests.harness.recorder import Recorder
from tests.harness.steady_load import RETRYABLE, Load
from tests.harness.world import ECHO, World, http_tool

pytestmark = pytest.mark.timeout(300)  # six starts of a gateway
DRAIN_S = 30.0
# The tool takes its time, so that every restart meets calls in flight. What is left open is not
# tried again: what the tool has seen is what was sent.
TOOLS = {
    "write": http_tool("POST", "/write", "write", recovery="opaque", route=False, **ECHO),
    "slow": http_tool("POST", "/slow", "write", recovery="opaque", route=False, **ECHO),
}


@pytest.fixture
async def trio(
    tmp_path: Path, recorder: Recorder, postgres: Server
) -> AsyncIterator[list[Gateway]]:
    """Three that share a ledger, a directory for halt files and their agents."""
    worlds = [World(tmp_path / name, recorder.url) for name in ("one", "two", "three")]
    url = postgres.new()
    async with AsyncExitStack() as held:
        gateways = []
        for world in worlds:
            world.directory.mkdir()
            world.tools = {"rec": TOOLS}
            world.agent_token = worlds[0].agent_token
            world.operator_token = worlds[0].operator_token
            kill = {"halt_file": str(tmp_path / "detent.halt")}
            world.settings = {"store": url, "drain": f"{DRAIN_S}s", "kill": kill}
            gateways.append(Gateway(world))
        starting = map(held.enter_async_context, gateways)
        for started in await asyncio.gather(*starting, return_exceptions=True):
            if isinstance(started, BaseException):
                raise started
        yield gateways


async def states(url: str) -> Counter[str]:
    """Return how many steps the ledger has in each state."""
    store = store_at(url)
    await store.open()
    rows = await store.steps(None, (), 10_000)
    await store.close()
    return Counter(row.state.value for row in rows)


def effects(recorder: Recorder) -> Counter[str]:
    """Return how often the tool was asked for each call."""
    return Counter(body["text"] for body in recorder.bodies())


async def test_each_gateway_is_restarted_and_every_call_takes_effect_once(
    trio: list[Gateway], recorder: Recorder
) -> None:
    """No call is lost or doubled, and none is answered with what nobody can come back after."""
    up = list(trio)
    load = Load(lambda: [one.agents for one in up], trio[0].world.agent_token, ("write", "slow"))
    running = asyncio.create_task(load.run(6))
    for gateway in trio:
        await load.until(20)
        ended = time.monotonic()
        assert await gateway.stop() == 0
        assert time.monotonic() - ended < DRAIN_S
        up.remove(gateway)
        await load.until(20)
        await gateway.start()
        up.append(gateway)
    await load.until(20)
    load.end()
    await running
    assert set(load.outcomes.values()) == {"done"}
    assert effects(recorder) == Counter(load.outcomes.keys())
    assert await states(str(trio[0].world.settings["store"])) == {"done": len(load.outcomes)}
    assert {told.partition(" ")[2] for told in load.refused} <= RETRYABLE
    assert load.refused["503 draining"] > 0


async def test_a_call_in_flight_ends_at_the_gateway_that_goes(
    trio: list[Gateway], recorder: Recorder
) -> None:
    """Its own client gets the answer; who asks elsewhere with the key gets the same one."""
    calling = asyncio.create_task(trio[0].call("slow", {"text": "k"}, idempotency_key="k"))
    while not recorder.received:
        await asyncio.sleep(0.01)
    ending = asyncio.create_task(trio[0]._end(signal.SIGTERM))
    status, own = await calling
    assert (status, own["outcome"]) == (200, "done")
    assert await ending == 0
    _, again = await trio[1].call("slow", {"text": "k"}, idempotency_key="k")
    assert again["step_id"] == own["step_id"]
    assert len(recorder.received) == 1
