"""Two gateways on one PostgreSQL: what one left open, or froze on, the other finishes."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.harness.gateway import Gateway
from tests.harness.left_open import TOOLS, hang, leave, settled_as, steps
from tests.harness.postgres import Server, database_of
from tests.harness.recorder import Recorder
from tests.harness.verifying import CREDENTIAL, ISSUER
from tests.harness.world import World

pytestmark = pytest.mark.alone

Pair = tuple[Gateway, Gateway]
LENT = {"hold_lent": TOOLS["hold_opaque"] | {"credential": CREDENTIAL, "timeout": "20s"}}


@pytest.fixture
def url(postgres: Server) -> str:
    """A ledger of its own."""
    return postgres.new()


@pytest.fixture
async def pair(tmp_path: Path, recorder: Recorder, url: str) -> AsyncIterator[Pair]:
    """Two that share a ledger, their agents and the keys of call tokens."""
    first, second = (World(tmp_path / name, recorder.url) for name in ("one", "two"))
    second.agent_token, second.operator_token = first.agent_token, first.operator_token
    broker = {"jwt": {"issuer": ISSUER, "keys": str(tmp_path / "keys")}}
    async with AsyncExitStack() as held:
        gateways = []
        for world in (first, second):
            world.directory.mkdir()
            world.tools["rec"] |= TOOLS | LENT
            world.settings = {"store": url, "credentials": {"jwt": broker}}
            gateways.append(await held.enter_async_context(Gateway(world)))
        yield gateways[0], gateways[1]


async def test_the_other_replica_sends_again_what_a_dead_one_had_begun(
    pair: Pair, recorder: Recorder
) -> None:
    """Once, under the same key, and not before the dead one's lease has run out."""
    dead, other = pair
    await leave(dead, recorder, "hold_keyed")
    recorder.release.set()
    row = await settled_as(other, "done")
    keys = [one.headers["Idempotency-Key"] for one in recorder.received]
    assert len(keys) == 2
    assert len(set(keys)) == 1
    assert recorder.received[1].at - recorder.received[0].at > 2.0
    assert row["detail"] == "recovery: sent-again"


async def test_the_replica_that_lives_keeps_its_own(pair: Pair, recorder: Recorder) -> None:
    """Whatever the other one looks at."""
    task = await hang(pair[0], recorder, "hold_lent")
    await asyncio.sleep(8)
    assert await steps(pair[1], "unknown") == []
    recorder.release.set()
    assert (await task)[1]["outcome"] == "done"


async def test_a_kill_is_finished_for_a_frozen_replica(
    pair: Pair, recorder: Recorder, postgres: Server, url: str
) -> None:
    """Its call is told as unknown and what it was lent is revoked; its own word is the last."""
    frozen, other = pair
    task = await hang(frozen, recorder, "hold_lent")
    os.kill(frozen.pid, signal.SIGSTOP)
    try:
        _, killed = await other.operate("POST", "/killswitch?wait=5", {})
        assert (killed["effective"], killed["holders"]["expired"]) == (True, 1)
        assert [one["verdict"] for one in await told(other, killed["epoch"])] == ["unknown"]
        (row,) = await postgres.execute(database_of(url), "SELECT state FROM detent.credentials")
        assert row[0] == "ended"
        assert len(await steps(other, "sending")) == 1
    finally:
        recorder.release.set()
        os.kill(frozen.pid, signal.SIGCONT)
    _, answer = await task
    assert answer["outcome"] in {"done", "unknown", "denied"}
    async with asyncio.timeout(10):
        while await steps(other, "sending"):
            await asyncio.sleep(0.1)
    (call,) = await told(other, killed["epoch"])
    (row,) = [*await steps(other, "done"), *await steps(other, "unknown")]
    assert call == {"step_id": row["step_id"], "verdict": row["state"]}


async def told(gateway: Gateway, epoch: int) -> list[dict[str, Any]]:
    """Return the calls in a kill's report, once there are any."""
    async with asyncio.timeout(10):
        while True:
            _, report = await gateway.operate("GET", f"/killswitch/{epoch}")
            calls: list[dict[str, Any]] = report["calls"]
            if calls:
                return calls
            await asyncio.sleep(0.1)
