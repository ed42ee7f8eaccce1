"""Frozen between the last check and the write, for longer than the kill lease: I1, I18."""

import asyncio
import os
import signal
import sqlite3
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.harness.freezing import MARK, PLANTED, frozen
from tests.harness.gateway import Gateway
from tests.harness.recorder import Recorder
from tests.harness.sidecars import Attachable, Sidecar
from tests.harness.verifying import TOOLS, Verifying
from tests.harness.world import World

pytestmark = pytest.mark.alone

FROZEN_S, FLAGGED_S = 3.0, 1.0
TOLD = "a call started after its kill lease had ended"


@pytest.fixture
async def tool(tmp_path: Path) -> AsyncIterator[Verifying]:
    tool = Verifying(tmp_path / "keys")
    await tool.start()
    yield tool
    await tool.stop()


@pytest.fixture
def attachable(world: World, tool: Verifying) -> Attachable:
    """A gateway with an attach port; its policy has a tool of each tier."""
    world.tools["fenced"] = TOOLS
    world.servers = {"fenced": {"http": {"base_url": tool.url}, "allow_private": True}}
    attachable = Attachable(world)
    world.settings["credentials"] = tool.settings()
    return attachable


@pytest.fixture
async def gateway(attachable: Attachable) -> AsyncIterator[Gateway]:
    async with Gateway(attachable.world) as gateway:
        yield gateway


@pytest.fixture
async def sidecar(
    attachable: Attachable,
    gateway: Gateway,
    tool: Verifying,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> AsyncIterator[Sidecar]:
    """A sidecar that freezes itself when it is about to send a call with the mark.

    Its parameters are further arguments of that program.
    """
    sidecar = attachable.sidecar(tmp_path / "pod", credentials=tool.settings())
    sidecar.world.servers = gateway.world.servers
    sidecar.world.program = ("tests.harness.freezing", *getattr(request, "param", ()))
    async with sidecar:
        yield sidecar


async def thawed_after_a_kill(gateway: Gateway, sidecar: Sidecar, server: str) -> float:
    """Freeze a call between check and write, kill everything, go on; return when that was."""
    calling = asyncio.create_task(sidecar.call("write", {"text": MARK}, server=server))
    await frozen(sidecar.pid)
    frozen_at = time.monotonic()
    status, report = await gateway.operate("POST", "/killswitch?wait=3")
    assert (status, report["effective"], report["holders"]["expired"]) == (200, True, 1)
    await asyncio.sleep(max(0.0, frozen_at + FROZEN_S - time.monotonic()))
    thawed_at = time.monotonic()
    os.kill(sidecar.pid, signal.SIGCONT)
    await flagged(sidecar)
    assert time.monotonic() - thawed_at <= FLAGGED_S
    await calling  # answered, or cut by the kill: whatever comes first
    return thawed_at


async def flagged(sidecar: Sidecar) -> None:
    """Return when the late start is in the metrics and in the log."""
    async with asyncio.timeout(10):
        while TOLD not in sidecar.text or await late_starts(sidecar) != 1:
            await asyncio.sleep(0.01)


async def late_starts(gateway: Gateway) -> float:
    """Return the counter."""
    headers = {"Authorization": f"Bearer {gateway.world.operator_token}"}
    async with gateway.http.get(f"{gateway.operators}/metrics", headers=headers) as answer:
        text = await answer.text()
    (line,) = (line for line in text.splitlines() if line.startswith("detent_late_starts_total "))
    return float(line.split()[1])


async def alerts(gateway: Gateway) -> list[str]:
    """Return the kinds of the alerts in the ledger, as soon as there is one."""
    async with asyncio.timeout(5):
        while not (kinds := alerts_now(gateway)):
            await asyncio.sleep(0.02)
    return kinds


def alerts_now(gateway: Gateway) -> list[str]:
    """Return the kinds of the alerts in the ledger."""
    ledger = sqlite3.connect(f"file:{gateway.world.database}?mode=ro", uri=True)
    try:
        return [kind for (kind,) in ledger.execute("SELECT kind FROM alerts")]
    finally:
        ledger.close()


async def test_a_tool_that_verifies_refuses_what_leaves_late(
    gateway: Gateway, sidecar: Sidecar, tool: Verifying
) -> None:
    """Tier A: the token ended with the kill lease, so no freeze gets past the kill."""
    assert (await sidecar.call("write", {"text": "in time"}, server="fenced"))[0] == 200
    await thawed_after_a_kill(gateway, sidecar, "fenced")
    assert (len(tool.received), tool.refused) == (1, ["expired"])
    assert await alerts(gateway) == ["late-start"]


@pytest.mark.parametrize("sidecar", [(PLANTED,)], indirect=True, ids=["planted"])
async def test_planted_a_token_that_outlives_the_lease_is_accepted_late(
    gateway: Gateway, sidecar: Sidecar, tool: Verifying
) -> None:
    """What the end of the token is for: without it the service does what a kill had stopped."""
    await thawed_after_a_kill(gateway, sidecar, "fenced")
    assert (len(tool.received), tool.refused) == (1, [])


async def test_any_other_tool_is_called_late_and_people_are_told_once(
    gateway: Gateway, sidecar: Sidecar, recorder: Recorder
) -> None:
    """Tier B: nobody can refuse it; it is flagged within a second, once."""
    assert (await sidecar.call("write", {"text": "in time"}))[0] == 200
    thawed_at = await thawed_after_a_kill(gateway, sidecar, "rec")
    assert [request.at >= thawed_at for request in recorder.received] == [False, True]
    assert await alerts(gateway) == ["late-start"]
    assert sidecar.text.count(TOLD) == 1
