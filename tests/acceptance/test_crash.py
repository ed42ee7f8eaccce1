"""kill -9 at any point of a call: no effect without an earlier intent, none twice or lost.

A sample of `make crash-matrix`, and proof that the matrix can fail.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
import pytest_asyncio

from tests.harness.gateway import Gateway
from tests.harness.world import World
from tests.matrix.crash import Lanes
from tests.matrix.crash_judge import Kind
from tests.matrix.crash_lane import Crash

SAMPLE = (
    ("sqlite", Crash("after-reserve", Kind.KEYED)),
    ("sqlite", Crash("after-sending", Kind.OPAQUE, 4)),
    ("sqlite", Crash("tool-arrived", Kind.PROBED)),
    ("sqlite", Crash("settle-commit", Kind.UNREAD, asks_again=True)),
    ("postgres", Crash("reserve-commit", Kind.OPAQUE, asks_again=True)),
    ("postgres", Crash("tool-acted", Kind.KEYED, asks_again=True)),
)
PLANTED = (
    ("intent-after-send", Crash("after-dispatch", Kind.UNREAD), "mismatched"),
    ("settles-twice", Crash("after-settle", Kind.UNREAD, 1), "mismatched"),
    ("answers-early", Crash("after-answer", Kind.OPAQUE), "mismatched"),
    ("sends-again", Crash("after-dispatch", Kind.OPAQUE), "duplicated"),
    ("forgets-what-was-sent", Crash("after-dispatch", Kind.OPAQUE), "mismatched"),
)
IN_SAMPLE = ("intent-after-send", "sends-again")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lanes(request: pytest.FixtureRequest) -> AsyncIterator[Lanes]:
    """A gateway for each store, killed and started again by one test after the other."""
    async with AsyncExitStack() as held:
        yield Lanes(held, lambda: request.getfixturevalue("postgres"))


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("store", "crash"), SAMPLE, ids=lambda one: getattr(one, "point", one))
async def test_what_a_crash_leaves_is_what_happened(lanes: Lanes, store: str, crash: Crash) -> None:
    """Eight calls under way, the tool's own record against the ledger after the restart."""
    async with lanes.lane(store) as lane:
        found = await lane.crash(crash, f"{store} {crash.point} {crash.kind.name.lower()}")
    assert found.problems == ()


@pytest.mark.parametrize(
    ("bug", "crash", "count"),
    [
        pytest.param(*one, id=one[0], marks=[] if one[0] in IN_SAMPLE else [pytest.mark.slow])
        for one in PLANTED
    ],
)
async def test_a_planted_bug_is_found(bug: str, crash: Crash, count: str) -> None:
    """A real process that does it wrong is blamed for what it did."""
    async with AsyncExitStack() as held:
        lane = await held.enter_async_context(Lanes(held).lane("sqlite"))
        lane.world.program = ("tests.harness.planted_bugs", bug, *lane.world.program[1:])
        found = await lane.crash(crash, bug)
    figures: Any = found.figures
    assert figures[count]


async def test_a_second_process_does_not_get_the_ledger(gateway: Gateway, world: World) -> None:
    """Exclusive to one process; the message says what to do."""
    with pytest.raises(RuntimeError, match="ended with 3"):
        await Gateway(world).start()
    assert (await gateway.call("read"))[0] == 200
