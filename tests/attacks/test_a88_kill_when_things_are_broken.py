"""A88: a kill with the disk full, the database locked, and the agents' port flooded."""

import asyncio
import contextlib
import sqlite3
import time

import aiohttp
import pytest

from tests.harness.gateway import Gateway
from tests.harness.recorder import Recorder
from tests.harness.world import World

pytestmark = pytest.mark.alone

HELD_S = 3.0


async def test_a88_a_locked_database_halts_locally_and_commits_later(
    gateway: Gateway, world: World, recorder: Recorder
) -> None:
    """503 `committed: false, halted_locally: true` at once; committed when the lock is gone."""
    blocker = sqlite3.connect(world.database, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    began = time.monotonic()
    status, report = await gateway.operate("POST", "/killswitch")
    assert time.monotonic() - began < HELD_S
    assert (status, report["committed"], report["halted_locally"]) == (503, False, True)
    assert (await gateway.call("read"))[0] == 503
    assert recorder.received == []
    blocker.execute("ROLLBACK")
    blocker.close()
    await committed(gateway)
    assert (await gateway.call("read"))[0] == 503


async def test_a88_a_halt_that_was_never_committed_survives_kill_9(
    gateway: Gateway, world: World, recorder: Recorder
) -> None:
    """The halt file carries it into the next process."""
    blocker = sqlite3.connect(world.database, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    await gateway.operate("POST", "/killswitch")
    await gateway.kill9()
    blocker.execute("ROLLBACK")
    blocker.close()
    async with Gateway(world) as again:
        assert (await again.call("read"))[0] == 503
        await committed(again)
    assert recorder.received == []


async def test_a88_a_full_disk_halts_all_the_same(world: World, recorder: Recorder) -> None:
    """Neither ledger nor halt file can grow: halted in memory, and said so."""
    world.program = ("tests.harness.full_disk",)
    async with Gateway(world) as gateway:
        status, report = await gateway.operate("POST", "/killswitch")
        assert (status, report["committed"], report["halted_locally"]) == (503, False, True)
        assert (await gateway.call("read"))[0] == 503
    assert recorder.received == []


async def test_a88_a_flooded_agents_port_does_not_hold_up_a_kill(
    gateway: Gateway, recorder: Recorder
) -> None:
    """200 callers at once; the kill is committed within a second and ends them all."""
    stop = asyncio.Event()

    async def flood() -> None:
        while not stop.is_set():
            with contextlib.suppress(aiohttp.ClientError):
                await gateway.call("read")

    callers = [asyncio.create_task(flood()) for _ in range(200)]
    await asyncio.sleep(1)
    async with asyncio.timeout(30):
        while not recorder.received:
            await asyncio.sleep(0.05)
    began = time.monotonic()
    status, report = await gateway.operate("POST", "/killswitch")
    took = time.monotonic() - began
    killed_at = time.monotonic()
    await asyncio.sleep(0.3)
    stop.set()
    await asyncio.gather(*callers)
    assert (status, report["committed"]) == (200, True)
    assert took < 1.0
    assert max(request.at for request in recorder.received) - killed_at < 0.05


async def committed(gateway: Gateway) -> None:
    """Wait until the kill is in the log."""
    async with asyncio.timeout(10):
        while True:
            _, state = await gateway.operate("GET", "/killswitch")
            if state["active"] and not state["pending"]:
                return
            await asyncio.sleep(0.05)
