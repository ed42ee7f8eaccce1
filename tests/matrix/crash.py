"""`python -m tests.matrix.crash`: kill -9 at every point of a call, and look what is left.

A trial is one SIGKILL with eight calls under way. Rows are the points, in the order in which a
call comes to them; every point is tried with every recovery class on both stores. Judged from the
tool's own record against the ledger after a restart.
"""

import itertools
import random
import sys
import tempfile
import zlib
from argparse import Namespace
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

from tests.harness.crashing import IN_RECOVERY
from tests.harness.exact_tool import ExactTool
from tests.harness.postgres import MISSING, QUICK, Server, find
from tests.harness.world import World
from tests.matrix.crash_judge import BLAMED, STATES
from tests.matrix.crash_lane import CALLS, POINTS, TOOLS, Crash, Lane
from tests.matrix.crash_ledger import Ledger, PostgresTables, SqliteTables
from tests.matrix.trials import Column, Found, Run, Table, Trial, command, conduct

STORES = ("sqlite", "postgres")
TURNS = 3  # through all cells: more than a thousand SIGKILLs
WANTED = (CALLS, 1, CALLS // 2)
BOUND_S, BESIDE = 120.0, 2
LEFT_OPEN = ("after-reserve", "tool-acted")  # before anything was sent, and after all was done
COLUMNS = (
    Column("calls", "calls"),
    Column("there", "came"),
    *(Column(name, name) for name in ("cut", "sent", "effects", *BLAMED, *STATES)),
    Column("start, s", "start_s", max, 1),
    Column("rest, s", "rest_s", max, 1),
)


def cells(stores: Sequence[str] = STORES) -> list[tuple[str, Crash]]:
    """Return every store, point and kind that can be."""
    once = itertools.product(POINTS, ("",), TOOLS, stores)
    twice = itertools.product(LEFT_OPEN, IN_RECOVERY, TOOLS, stores)
    every = itertools.chain(once, twice)
    made = ((store, Crash(point, kind, then=then)) for point, then, kind, store in every)
    return [(store, crash) for store, crash in made if crash.is_possible]


def crashes(count: int, stores: Sequence[str] = STORES) -> dict[str, tuple[str, Crash]]:
    """Return so many trials by name: all cells, then all again with other numbers of calls.

    What does not fill a turn is a sample of it, always the same one.
    """
    found: dict[str, tuple[str, Crash]] = {}
    every = cells(stores)
    for turn in range(-(-count // len(every))):
        wanted = WANTED[turn % len(WANTED)]
        left = min(count - len(found), len(every))
        for n in sorted(random.Random(turn).sample(range(len(every)), left)):
            store, cell = every[n]
            name = f"{store} {_name(cell)} {turn + 1}"
            asks_again = zlib.crc32(name.encode()) % 2 == 1
            found[name] = (store, replace(cell, wanted=wanted, asks_again=asks_again))
    return found


def _name(cell: Crash) -> str:
    return " ".join(part for part in (cell.point, cell.then, cell.kind.name.lower()) if part)


class Lanes:
    """Lanes of each store, made when one is needed and none is free; `held` ends them.

    `server` gives the PostgreSQL server; without it there is one of our own.
    """

    def __init__(self, held: AsyncExitStack, server: Callable[[], Server] | None = None) -> None:
        self._held = held
        self._given = server
        self._own: Server | None = None
        self._free: dict[str, list[Lane]] = {store: [] for store in STORES}

    @asynccontextmanager
    async def lane(self, store: str) -> AsyncIterator[Lane]:
        """Lend a lane of a store."""
        free = self._free[store]
        lane = free.pop() if free else await self._made(store)
        try:
            yield lane
        finally:
            free.append(lane)

    async def _made(self, store: str) -> Lane:
        folder = Path(self._held.enter_context(tempfile.TemporaryDirectory(prefix="detent-")))
        tool = await ExactTool().start()
        world = World(folder, tool.url)
        (folder / "tmp").mkdir()
        world.environ["TMPDIR"] = str(folder / "tmp")  # what a killed process leaves goes with it
        tables: SqliteTables | PostgresTables = SqliteTables(world.database)
        if store == "postgres":
            url = self._server().new()
            world.settings["store"] = url
            tables = PostgresTables(url)
        lane = Lane(world, tool, Ledger(tables))
        self._held.push_async_callback(lane.close)
        return lane

    def _server(self) -> Server:
        if self._own is None:
            self._own = self._given() if self._given else self._own_server()
        return self._own

    def _own_server(self) -> Server:
        server = Server(*QUICK)
        self._held.callback(server.remove)
        return server.create().start().make_template()


def opened(
    planned: dict[str, tuple[str, Crash]],
) -> Callable[[], AbstractAsyncContextManager[Run]]:
    """Return what runs these trials."""

    @asynccontextmanager
    async def running() -> AsyncIterator[Run]:
        async with AsyncExitStack() as held:
            lanes = Lanes(held)

            async def one(trial: Trial) -> Found:
                store, crash = planned[trial.name]
                async with lanes.lane(store) as lane:
                    return await lane.crash(crash, trial.name)

            yield one

    return running


def table_of(count: int, stores: Sequence[str], by: str = "point", beside: int = 1) -> Table:
    """Return the table. `by`: what a row is: point, class or store; `beside` trials at a time."""
    planned = crashes(count, stores)
    row_of: dict[str, Callable[[str, Crash], str]] = {
        "point": lambda _, crash: crash.row,
        "class": lambda store, crash: f"{store}, {crash.kind}",
        "store": lambda store, _: store,
    }
    trials = [Trial(row_of[by](*planned[name]), name) for name in planned]
    return Table("crash", trials, opened(planned), COLUMNS, BOUND_S, beside, mixed=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the matrix; return the exit code."""
    parser = command("python -m tests.matrix.crash", __doc__)
    parser.add_argument("--trials", type=int, help=f"how many (every cell {TURNS} times)")
    parser.add_argument("--store", choices=STORES, action="append")
    parser.add_argument("--by", choices=("point", "class", "store"), default="point")
    parser.add_argument("--beside", type=int, default=BESIDE, metavar="N",
                        help=f"gateways at a time ({BESIDE})")  # fmt: skip
    options: Namespace = parser.parse_args(arguments)
    stores = options.store or STORES
    if "postgres" in stores and find("initdb") is None:
        sys.stderr.write(f"{MISSING}\n")
        return 2
    count = options.trials or TURNS * len(cells(stores))
    return conduct(table_of(count, stores, options.by, options.beside), options)


if __name__ == "__main__":
    sys.exit(main())
