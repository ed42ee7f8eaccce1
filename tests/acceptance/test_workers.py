"""One gateway of several processes: the same ports, one ledger, one kill switch."""

import asyncio
import os
import re
import signal
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.harness.gateway import Gateway
from tests.harness.postgres import Server, store_at
from tests.harness.processes import children_of, command_of, until_gone
from tests.harness.recorder import Recorder
from tests.harness.steady_load import TAKEN, Load
from tests.harness.world import ECHO, World, http_tool

WORKERS = 2


@pytest.fixture
async def gateway(tmp_path: Path, recorder: Recorder, postgres: Server) -> AsyncIterator[Gateway]:
    """A gateway of two workers."""
    world = World(tmp_path, recorder.url)
    opaque = {"recovery": "opaque", "route": False, **ECHO}
    world.tools["rec"]["write"] = http_tool("POST", "/write", "write", **opaque)
    world.tools["rec"]["slow"] = http_tool("POST", "/slow", "write", **opaque)
    world.settings = {"store": postgres.new(), "workers": WORKERS, "drain": "5s"}
    async with Gateway(world) as gateway:
        yield gateway


def workers_of(gateway: Gateway) -> list[int]:
    """Return the processes that serve."""
    return [pid for pid in children_of(gateway.pid) if "-m proxy serve" in command_of(pid)]


async def metrics(gateway: Gateway) -> str:
    """Return a scrape."""
    headers = {"Authorization": f"Bearer {gateway.world.operator_token}"}
    async with gateway.http.get(f"{gateway.operators}/metrics", headers=headers) as answer:
        return await answer.text()


async def ask_all(gateway: Gateway, times: int = 24) -> list[int]:
    """Call on so many connections at once, which all workers get some of."""
    calls = (gateway.call("write", {"text": str(n)}) for n in range(times))
    return [status for status, _ in await asyncio.gather(*calls)]


async def test_a_kill_at_any_worker_halts_all(gateway: Gateway, recorder: Recorder) -> None:
    """Effective when it is answered; a lift lets all go on."""
    assert set(await ask_all(gateway)) == {200}
    status, told = await gateway.operate("POST", "/killswitch?wait=3", {})
    assert (status, told["effective"], told["holders"]["acked"]) == (200, True, WORKERS)
    received = len(recorder.received)
    assert set(await ask_all(gateway)) == {503}
    assert len(recorder.received) == received
    await gateway.operate("DELETE", f"/killswitch/{told['epoch']}", {"reason": "over"})
    async with asyncio.timeout(5):
        while set(await ask_all(gateway, 4)) != {200}:
            await asyncio.sleep(0.05)


async def test_sigusr1_to_the_parent_is_one_kill_of_all_workers(
    gateway: Gateway, recorder: Recorder
) -> None:
    """One lift is enough."""
    os.kill(gateway.pid, signal.SIGUSR1)
    async with asyncio.timeout(5):
        while set(await ask_all(gateway)) != {503}:
            await asyncio.sleep(0.02)
    _, told = await gateway.operate("GET", "/killswitch")
    assert [kill["actor"] for kill in told["active"]] == ["signal"]


async def test_a_worker_killed_under_load_loses_and_doubles_nothing(
    gateway: Gateway, recorder: Recorder
) -> None:
    """The other goes on; what was at it has an answer or is unknown, and is never sent again."""
    token = gateway.world.agent_token
    load = Load(lambda: [gateway.agents], token, ("write", "slow"))
    running = asyncio.create_task(load.run(8))
    await load.until(20)
    before = workers_of(gateway)
    os.kill(before[0], signal.SIGKILL)
    await load.until(20)
    async with asyncio.timeout(30):
        while len(workers_of(gateway)) < WORKERS:
            await asyncio.sleep(0.05)
    await load.until(20)
    load.end()
    await running
    seen = Counter(body["text"] for body in recorder.bodies())
    assert set(load.outcomes.values()) <= {"done", "unknown", TAKEN}
    assert max(seen.values()) == 1
    done = {key for key, outcome in load.outcomes.items() if outcome == "done"}
    assert done <= seen.keys()
    assert seen.keys() <= load.outcomes.keys()
    assert before[1] in workers_of(gateway)
    in_ledger = await states(gateway)
    assert in_ledger.keys() <= {"done", "unknown", "stuck", "aborted"}
    assert in_ledger["done"] == len(done)
    assert in_ledger.total() == len(load.outcomes)


async def states(gateway: Gateway) -> Counter[str]:
    """Return how many steps the ledger has in each state."""
    store = store_at(gateway.world.settings["store"])
    await store.open()
    rows = await store.steps(None, (), 10_000)
    await store.close()
    return Counter(row.state.value for row in rows)


async def test_a_scrape_has_the_series_of_all_workers(gateway: Gateway) -> None:
    """Whoever is asked; what they have counted adds up."""
    assert set(await ask_all(gateway)) == {200}
    text = await metrics(gateway)
    counted = re.findall(r'^detent_tool_calls_total{worker="(\d)",.*} (.*)$', text, re.MULTILINE)
    assert sum(float(count) for _, count in counted) == 24
    assert re.findall(r'^detent_worker_up{worker="(\d)"} 1.0$', text, re.MULTILINE) == ["1", "2"]


async def test_nothing_is_left_when_the_parent_is_killed(gateway: Gateway) -> None:
    """Neither a worker nor a child of one."""
    children = children_of(gateway.pid)
    assert len(children) >= 2 * WORKERS
    await gateway.kill9()
    await until_gone(children)


async def test_a_reload_reaches_every_worker(gateway: Gateway) -> None:
    """SIGHUP to the parent; afterwards all decide by the new policy."""
    gateway.world.data("roles", {"tester": {"tools": ["*/*"]}, "more": {"tools": []}})
    before = set(re.findall(r'policy_info{[^}]*revision="([^"]*)"', await metrics(gateway)))
    os.kill(gateway.pid, signal.SIGHUP)
    async with asyncio.timeout(20):
        while True:
            found = re.findall(r'policy_info{[^}]*revision="([^"]*)"', await metrics(gateway))
            if len(found) == WORKERS and before.isdisjoint(found):
                break
            await asyncio.sleep(0.1)
    assert len(set(found)) == 1
