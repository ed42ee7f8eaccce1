"""A main event loop that is busy for longer than the kill lease: calls go on, kills are heard."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from tests.harness.freezing import BUSY
from tests.harness.gateway import Gateway
from tests.harness.postgres import Server
from tests.harness.recorder import Recorder
from tests.harness.sidecars import Attachable
from tests.harness.world import World

pytestmark = pytest.mark.alone

Pair = tuple[Gateway, Gateway]

PROGRAM = ("tests.harness.freezing",)


@asynccontextmanager
async def sidecar(world: World, _: Server) -> AsyncIterator[Pair]:
    """A gateway and a sidecar that can be kept busy."""
    attachable = Attachable(world)
    sidecar = attachable.sidecar(world.directory / "pod")
    sidecar.world.program = PROGRAM
    async with Gateway(world) as gateway, sidecar:
        yield gateway, sidecar


@asynccontextmanager
async def replica(world: World, postgres: Server) -> AsyncIterator[Pair]:
    """Two gateways on one ledger, of which the second can be kept busy."""
    world.settings = {"store": postgres.new()}
    second = replace(world, directory=world.directory / "two", program=PROGRAM)
    second.directory.mkdir()
    async with Gateway(world) as one, Gateway(second) as two:
        yield one, two


@pytest.fixture(params=[sidecar, replica], ids=["sidecar", "replica"])
async def pair(
    request: pytest.FixtureRequest, world: World, postgres: Server
) -> AsyncIterator[Pair]:
    async with request.param(world, postgres) as pair:
        yield pair


async def busy(gateway: Gateway) -> tuple[int, str]:
    """Keep it busy right before the last check of a call; return how the call ended."""
    status, answer = await gateway.call("write", {"text": BUSY})
    return status, answer["reasons"][0]["id"]


async def test_a_busy_process_keeps_its_lease(pair: Pair, recorder: Recorder) -> None:
    """Nothing of the main loop ran for more than two leases; the call that waited goes on."""
    held_up = pair[1]
    assert await busy(held_up) == (200, "role-allows-tool")
    assert "kill lease not renewed" not in held_up.text
    assert len(recorder.received) == 1


async def test_a_kill_is_heard_while_the_main_loop_is_busy(pair: Pair, recorder: Recorder) -> None:
    """Acknowledged long before the loop turns again, and then the call does not start."""
    one, held_up = pair
    calling = asyncio.create_task(busy(held_up))
    await asyncio.sleep(1.0)
    status, report = await one.operate("POST", "/killswitch?wait=3")
    assert (status, report["effective"]) == (200, True)
    assert report["holders"]["expired"] == 0
    assert not calling.done()
    assert await calling == (503, "killed")
    assert recorder.received == []
