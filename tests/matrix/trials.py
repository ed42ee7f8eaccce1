"""Trials in rows: sharded, resumable, bounded in time, summed up in a table.

A table says which trials there are and how one is run:

    @asynccontextmanager
    async def opened() -> AsyncIterator[Run]:        # what all trials share: a server, a recorder
        async with ...:
            yield one_trial                          # async def one_trial(trial: Trial) -> Found

    def table_of(options: Namespace) -> Table:
        trials = [Trial(row, f"{row} {n}") for n in range(20) for row in ROWS]
        columns = (Column("latest start, ms", "start_ms", max),)
        return Table("faults", trials, opened, columns, bound_s=60)

    def main(arguments: Sequence[str] | None = None) -> int:
        parser = command("python -m tests.faults.run", __doc__)   # and options of its own
        options = parser.parse_args(arguments)
        return conduct(table_of(options), options)

Every trial becomes a line of `var/trials/<table>.jsonl` with the commit it was made at. A trial of
the same commit is not run again unless `--again` says so; at another commit all begin anew. What
is raised in a trial, or takes longer than `bound_s`, is a failed trial, and the next one goes on:
a trial stops what it started, on every way out. Exit code: 0 everything held, 1 a trial failed,
2 usage, 130 interrupted (the same command goes on where it stopped).
"""

import argparse
import asyncio
import contextlib
import random
import signal
import sys
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

from tests.matrix.kept import Figures, Kept, Result, kept
from tests.matrix.summary import Column, Progress, as_json, as_table

__all__ = ["Column", "Found", "Run", "Table", "Trial", "command", "conduct"]


@dataclass(frozen=True, slots=True)
class Trial:
    """One trial. `row` is the line of the table it counts in; `name` is its own, for ever."""

    row: str
    name: str


@dataclass(frozen=True, slots=True)
class Found:
    """What a trial saw: problems in words (none: it held), figures for the columns."""

    problems: tuple[str, ...] = ()
    figures: Figures = field(default_factory=dict)


Run = Callable[[Trial], Awaitable[Found]]


@dataclass(frozen=True, slots=True)
class Table:
    """All trials of a kind. `opened` holds what they share while they run, `beside` at a time.

    `mixed`: they run in another order, always the same, so that a run cut short is a sample.
    """

    name: str
    trials: Sequence[Trial]
    opened: Callable[[], AbstractAsyncContextManager[Run]]
    columns: Sequence[Column] = ()
    bound_s: float = 60.0
    beside: int = 1
    mixed: bool = False


def command(program: str, text: str | None) -> argparse.ArgumentParser:
    """Return a parser with the options that every table has."""
    parser = argparse.ArgumentParser(
        prog=program, description=text, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shard", type=_shard, default=(1, 1), metavar="I/N",
                        help="run only the I-th of N shares of the trials")  # fmt: skip
    parser.add_argument("--again", action="store_true", help="run what was run at this commit too")
    parser.add_argument("--stop", action="store_true", help="stop at the first failure")
    parser.add_argument("--json", action="store_true", help="the summary as JSON")
    return parser


def conduct(table: Table, options: argparse.Namespace) -> int:
    """Run what is left of this shard and tell how it went; return the exit code."""
    number, count = options.shard
    mine = table.trials[number - 1 :: count]
    store = kept(table.name)
    known = {} if options.again else store.read()
    left = [trial for trial in mine if trial.name not in known]
    if table.mixed:
        random.Random(table.name).shuffle(left)
    is_whole = asyncio.run(_run(table, left, store, stop=options.stop))
    results = store.read()
    found = [(trial, results[trial.name]) for trial in mine if trial.name in results]
    summed = [(trial.row, result) for trial, result in found]
    show = as_json if options.json else as_table
    sys.stdout.write(show(table.name, store.commit, table.columns, summed) + "\n")
    if not all(result.ok for _, result in found):
        return 1
    return 0 if is_whole else 130


async def _run(table: Table, left: Sequence[Trial], store: Kept, *, stop: bool) -> bool:
    """Run these trials; return whether nobody interrupted."""
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    progress = Progress(len(left))
    try:
        if left:
            async with table.opened() as run:
                await _all_of(table, left, store, run, progress, stop=stop)
    except asyncio.CancelledError:
        return False
    finally:
        progress.end()
    return True


async def _all_of(
    table: Table, left: Sequence[Trial], store: Kept, run: Run, progress: Progress, *, stop: bool
) -> None:
    waiting = deque(left)

    async def work() -> None:
        while waiting:
            result = await _bounded(waiting.popleft(), run, table.bound_s, store.commit)
            store.add(result)
            progress.tell(result)
            if stop and not result.ok:
                waiting.clear()

    async with asyncio.TaskGroup() as working:
        for _ in range(table.beside):
            working.create_task(work())


async def _bounded(trial: Trial, run: Run, bound_s: float, commit: str) -> Result:
    began = time.monotonic()
    try:
        async with asyncio.timeout(bound_s):
            found = await run(trial)
    except TimeoutError:
        found = Found((f"took longer than {bound_s:g} s, or something in it did",))
    except Exception as error:  # noqa: BLE001 a trial that breaks has failed; the others go on
        found = Found((f"{type(error).__name__}: {error}",))
    seconds = round(time.monotonic() - began, 3)
    return Result(commit, trial.name, trial.row, seconds, found.problems, found.figures)


def _shard(text: str) -> tuple[int, int]:
    with contextlib.suppress(ValueError):
        number, count = (int(part) for part in text.split("/"))
        if 1 <= number <= count:
            return number, count
    raise argparse.ArgumentTypeError("a share is I/N with 1 <= I <= N, as in 2/4")
