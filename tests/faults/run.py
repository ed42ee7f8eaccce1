"""The fault table of the kill switch: a fleet, a fault, a kill, measured at the tool.

Each trial of a row breaks one thing while every member is busy, kills everything in the midst of
it and looks at what the tool got. The promise: nothing starts later than 3 s after the commit, and
in a healthy fleet later than 100 ms, the median of all trials 10 ms.
"""

import argparse
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from types import TracebackType
from typing import Self

from tests.faults.load import Pace
from tests.faults.rows import ROWS, Row, faketime, slow_process
from tests.faults.trial import trial
from tests.harness.fleet import Fleet, Plan
from tests.harness.world import ROOT
from tests.matrix.kept import FOLDER, kept
from tests.matrix.summary import as_table, median
from tests.matrix.trials import Column, Found, Run, Table, Trial, command, conduct

NAME = "faults"
HEALTHY_MEDIAN_MS = 10.0
BOUND_S = 180.0  # a trial, and the fleet that has to be started anew for it
COLUMNS = (
    Column("start med ms", "start_ms", median, 1),
    Column("start max ms", "start_ms", max, 1),
    Column("effective med", "effective_ms", median, 0),
    Column("effective max", "effective_ms", max, 0),
    Column("streams max", "streams_ms", max, 0),
    Column("left open", "open"),
    Column("starts after", "starts"),
    Column("early", "early"),
    Column("late", "late"),
    Column("flagged", "flagged"),
    Column("fenced", "fenced"),
    Column("refused", "refused"),
    Column("calls", "calls"),
)


class Standing:
    """A fleet that stands for all trials; one that a trial has left broken is replaced."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._held = AsyncExitStack()
        self._fleet: Fleet | None = None

    async def __aenter__(self) -> Self:
        await self._whole()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._held.aclose()

    async def run(self, row: Row, pace: Pace) -> Found:
        """Run one trial. What it raises, being cut short included, is the end of this fleet."""
        fleet = await self._whole()
        self._fleet = None
        found = await trial(fleet, row, pace)
        self._fleet = fleet
        return found

    async def _whole(self) -> Fleet:
        if self._fleet is None:
            await self._held.aclose()
            self._fleet = await self._held.enter_async_context(Fleet(self._plan))
        return self._fleet


def rows(names: Sequence[str]) -> list[Row]:
    """Return the rows of these names, all if none is named, less what cannot be tried here."""
    chosen = [row for row in ROWS if not names or row.name in names]
    return [row for row in chosen if row.breaking is not slow_process or faketime()]


def table_of(options: argparse.Namespace) -> Table:
    """Return the trials, row by row.

    The healthy fleet comes first: for a minute after a SIGKILL a kill waits for the lease of a
    holder that nobody knows to be gone.
    """
    chosen = {row.name: row for row in rows(options.row)}
    counts = range(1, options.trials + 1)
    trials = [Trial(name, f"{name} {number}") for name in chosen for number in counts]
    pace = Pace(options.pace, options.pace / 8)

    @asynccontextmanager
    async def opened() -> AsyncIterator[Run]:
        async with Standing(Plan(sidecars=options.sidecars)) as standing:

            async def run(one: Trial) -> Found:
                return await standing.run(chosen[one.row], pace)

            yield run

    return Table(NAME, trials, opened, COLUMNS, bound_s=BOUND_S)


def as_lines(table: Table) -> list[str]:
    """Return the table of every shard, then what was not tried, then a bar that was missed."""
    store = kept(NAME)
    found = store.read()
    names = dict.fromkeys(one.row for one in table.trials)
    summed = [(row, one) for row in names for one in found.values() if one.row == row]
    lines = [as_table(NAME, store.commit, COLUMNS, summed)]
    if not faketime():
        lines.append("not tried: process at 0.8 (libfaketime is not installed)")
    healthy = [one.figures["start_ms"] for row, one in summed if row == "healthy" and one.ok]
    figures = [float(value) for value in healthy if isinstance(value, int | float)]
    if figures and (middle := median(figures)) > HEALTHY_MEDIAN_MS:
        lines.append(f"MISSED healthy: median {middle:.1f} ms, the bar is {HEALTHY_MEDIAN_MS:g} ms")
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is left, write the report."""
    parser = command("python -m tests.faults.run", __doc__)
    known = [row.name for row in ROWS]
    parser.add_argument("--row", action="append", choices=known, default=[], help="only this row")
    parser.add_argument("--trials", type=int, default=20, help="of each row (20)")
    parser.add_argument("--sidecars", type=int, default=20, help="in the fleet (20)")
    parser.add_argument("--pace", type=float, default=2.0, help="s between a member's calls (2)")
    options = parser.parse_args(arguments)
    table = table_of(options)
    code = conduct(table, options)
    lines = as_lines(table)
    file = FOLDER / f"{NAME}.txt"
    file.write_text("\n".join(lines) + "\n")
    sys.stderr.write("\n".join((*lines[1:], f"all shards: {file.relative_to(ROOT)}\n")))
    return code or int(any(line.startswith("MISSED") for line in lines))


if __name__ == "__main__":
    sys.exit(main())
