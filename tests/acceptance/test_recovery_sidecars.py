"""A sidecar is killed while its tool has a call: the gateway it was attached to recovers it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.harness.gateway import Gateway
from tests.harness.left_open import TOOLS, hang, leave, settled_as, steps
from tests.harness.recorder import Recorder
from tests.harness.sidecars import Attachable, Sidecar
from tests.harness.world import World

pytestmark = pytest.mark.alone


@pytest.fixture
def attachable(world: World) -> Attachable:
    """A gateway with an attach port, and tools of every class."""
    world.tools["rec"] |= TOOLS
    return Attachable(world)


@pytest.fixture
async def gateway(attachable: Attachable) -> AsyncIterator[Gateway]:
    async with Gateway(attachable.world) as gateway:
        yield gateway


@pytest.fixture
async def sidecar(
    attachable: Attachable, gateway: Gateway, tmp_path: Path
) -> AsyncIterator[Sidecar]:
    async with attachable.sidecar(tmp_path / "pod") as sidecar:
        yield sidecar


async def test_a_gateway_sends_again_what_a_dead_sidecar_had_begun(
    gateway: Gateway, sidecar: Sidecar, recorder: Recorder
) -> None:
    """Once its lease has run out, under the same key."""
    await leave(sidecar, recorder, "hold_keyed")
    recorder.release.set()
    await settled_as(gateway, "done")
    assert len({one.headers["Idempotency-Key"] for one in recorder.received}) == 1
    assert len(recorder.received) == 2


async def test_the_steps_of_a_sidecar_outlive_a_restart_of_the_gateway(
    gateway: Gateway, sidecar: Sidecar, recorder: Recorder
) -> None:
    """The sidecar lives, and settles its own."""
    task = await hang(sidecar, recorder, "hold_opaque")
    await gateway.kill9()
    async with Gateway(gateway.world) as again:
        assert len(await steps(again, "sending")) == 1
        recorder.release.set()
        _, answer = await task
        row = await settled_as(again, "unknown" if answer["outcome"] == "unknown" else "done")
        assert not row["detail"].startswith("recovery")
