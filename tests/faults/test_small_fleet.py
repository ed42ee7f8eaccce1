"""Trials on a small fleet of real processes, measured at the tool; `make faults` runs the table."""

import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.faults.load import Pace
from tests.faults.rows import ROWS, Row
from tests.faults.trial import trial
from tests.harness.fleet import Fleet, Plan
from tests.harness.postgres import MISSING, find
from tests.harness.tcp_faults import CUT_OFF, HEALTHY

pytestmark = [
    pytest.mark.alone,
    pytest.mark.timeout(180),
    pytest.mark.asyncio(loop_scope="module"),
]

SMALL = Plan(1, 1, 2, linked=("gateway-1", "sidecar-1"), unsteady=("gateway-1", "sidecar-1"))
PACE = Pace(0.2, 0.1)
TRIED = [row for row in ROWS if row.name in ("healthy", "replica cut off")]
ANSWERED_S = 3.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fleet() -> AsyncIterator[Fleet]:
    """One gateway, one relay, two sidecars, for the whole file."""
    if find("initdb") is None:
        pytest.skip(MISSING)
    async with Fleet(SMALL) as started:
        yield started


@pytest.mark.parametrize("row", TRIED, ids=lambda row: row.name)
async def test_the_bound_holds(fleet: Fleet, row: Row) -> None:
    """Nothing starts after it, streams are closed, `effective` is in time and not too early."""
    found = await trial(fleet, row, PACE)
    assert found.problems == ()
    assert found.figures["calls"]


async def test_a_kill_at_a_sidecar_that_is_cut_off_holds_there(fleet: Fleet) -> None:
    """Nobody can commit it; that is said, and nothing starts there, also when it is mended."""
    await fleet.serving()
    sidecar, link = fleet.members["sidecar-1"], fleet.links["sidecar-1"]
    link.set(CUT_OFF)
    began = time.monotonic()
    status, told = await sidecar.operate("POST", "/killswitch", {"reason": "break glass"})
    assert time.monotonic() - began < ANSWERED_S
    assert (status, told["committed"], told["halted_locally"]) == (503, False, True)
    link.set(HEALTHY)
    status, answer = await fleet.call("sidecar-1")
    assert (status, answer["reasons"][0]["id"]) == (503, "killed")
    assert (await fleet.call("sidecar-2"))[0] == 200
