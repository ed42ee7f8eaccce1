"""A74: a kill while the ledger cannot be reached, while one replica is cut off, over a restart.

Three real gateways on one PostgreSQL. A view of the kill log that is older than the lease denies
everything, reads too; what was acknowledged holds after every process has been killed.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from proxy.model.lease import LeaseTerms
from tests.harness.gateway import Gateway
from tests.harness.postgres import Server
from tests.harness.recorder import Recorder
from tests.harness.tcp_faults import CUT_OFF, HEALTHY
from tests.harness.together import Together, together, worlds_of

pytestmark = [pytest.mark.alone, pytest.mark.asyncio(loop_scope="module")]

BOUND_S = LeaseTerms().bound_s
REFUSED = {"store-unavailable", "kill-lease-expired"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def standing_three(
    tmp_path_factory: pytest.TempPathFactory, postgres: Server
) -> AsyncIterator[tuple[Together, Recorder]]:
    recorder = await Recorder().start()
    worlds = worlds_of(tmp_path_factory.mktemp("three"), recorder.url, 3)
    try:
        async with together(postgres, worlds) as three:
            yield three, recorder
    finally:
        await recorder.stop()


@pytest_asyncio.fixture(loop_scope="module")
async def three(standing_three: tuple[Together, Recorder]) -> AsyncIterator[Together]:
    """The three, with nothing halted."""
    three, recorder = standing_three
    recorder.received.clear()
    yield three
    for epoch in await epochs(three.gateways[0]):
        why = {"reason": "next test"}
        assert (await three.gateways[0].operate("DELETE", f"/killswitch/{epoch}", why))[0] == 200


@pytest.fixture
def recorder(standing_three: tuple[Together, Recorder]) -> Recorder:
    return standing_three[1]


async def reason(gateway: Gateway, tool: str = "read") -> str:
    """Call; return the reason of the refusal, empty when it went through."""
    status, answer = await gateway.call(tool)
    return "" if status == 200 else answer["reasons"][0]["id"]


async def until(gateway: Gateway, wanted: str) -> None:
    """Call until that is the reason of the refusal."""
    async with asyncio.timeout(15):
        while await reason(gateway) != wanted:
            await asyncio.sleep(0.05)


async def eagerly(gateway: Gateway, stop: asyncio.Event) -> None:
    """Keep trying to start calls, as agents do."""
    while not stop.is_set():
        await gateway.call("read")


async def test_a74_with_the_ledger_cut_off_nothing_starts_anywhere(
    three: Together, recorder: Recorder
) -> None:
    """The kill halts where it is given at once; the others stop by themselves within the bound."""
    for gateway in three.gateways:
        await until(gateway, "")
    stop = asyncio.Event()
    callers = [asyncio.create_task(eagerly(gateway, stop)) for gateway in three.gateways]
    await asyncio.sleep(0.2)
    for link in three.links:
        link.set(CUT_OFF)
    cut_at = time.monotonic()
    status, report = await three.gateways[0].operate("POST", "/killswitch")
    assert (status, report["committed"], report["halted_locally"]) == (503, False, True)
    await asyncio.sleep(max(0.0, cut_at + BOUND_S + 0.5 - time.monotonic()))
    assert await reason(three.gateways[0]) in REFUSED | {"killed"}
    assert {await reason(gateway) for gateway in three.gateways[1:]} <= REFUSED
    stop.set()
    await asyncio.gather(*callers)
    assert max(request.at for request in recorder.received) <= cut_at + BOUND_S
    for link in three.links:
        link.set(HEALTHY)
    for gateway in three.gateways:
        await until(gateway, "killed")


async def test_a74_a_replica_with_an_old_view_denies(three: Together, recorder: Recorder) -> None:
    """It has not heard of the kill; it is counted as expired, and has started nothing since."""
    stale = three.gateways[2]
    await until(stale, "")
    stop = asyncio.Event()
    calling = asyncio.create_task(eagerly(stale, stop))
    await asyncio.sleep(0.2)
    three.links[2].set(CUT_OFF)
    status, report = await three.gateways[0].operate("POST", "/killswitch?wait=5")
    effective_at = time.monotonic()
    assert (status, report["committed"], report["effective"]) == (200, True, True)
    assert report["holders"] == {"acked": 2, "expired": 1, "outstanding": 0}
    assert await reason(stale) in REFUSED
    assert await reason(three.gateways[1]) == "killed"
    await asyncio.sleep(0.3)
    stop.set()
    await calling
    assert max(request.at for request in recorder.received) <= effective_at
    three.links[2].set(HEALTHY)
    await until(stale, "killed")


async def test_a74_a_kill_outlives_every_process(three: Together, recorder: Recorder) -> None:
    """All are ended with kill -9 at once and started again: halted, by the same epoch."""
    _, report = await three.gateways[1].operate("POST", "/killswitch", {"reason": "runaway"})
    await asyncio.gather(*(gateway.kill9() for gateway in three.gateways))
    recorder.received.clear()
    await asyncio.gather(*(gateway.start() for gateway in three.gateways))
    for gateway in three.gateways:
        assert await reason(gateway) == await reason(gateway, "write") == "killed"
        assert await epochs(gateway) == [report["epoch"]]
    assert recorder.received == []


async def epochs(gateway: Gateway) -> list[Any]:
    """Return the epochs of the kills in force."""
    _, state = await gateway.operate("GET", "/killswitch")
    return [kill["epoch"] for kill in state["active"]]
