"""`python -m tests.harness.crashing FILE serve …`: the gateway, killed -9 at a named point.

FILE says where: `before-decide 8` ends the process once eight calls have come to that point. Calls
wait there for each other, where they can; what runs in one piece is only counted. A second after
the first has come the process ends anyway; FILE.came says how many had come. Without FILE it is the
gateway and nothing else. The process that dies is the real one; only the boundary where it dies is
added from here.
"""

import asyncio
import inspect
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from proxy.chain.recovery import RecoveryTask
from proxy.cli import main
from proxy.egress.gate import GatedRequest
from proxy.ingress import calls
from proxy.ingress.calls import CallsDoor
from proxy.pipeline import run
from proxy.pipeline.admit import Admission
from proxy.pipeline.decide import Decider
from proxy.pipeline.dispatch import Dispatch
from proxy.pipeline.lease import Lending
from proxy.pipeline.reserve import Reserving
from proxy.pipeline.resolve import Resolver
from proxy.pipeline.run import Pipeline
from proxy.pipeline.settle import Settling
from proxy.pipeline.start import Starts
from proxy.stores.postgres.ledger import LedgerTables as PostgresLedger
from proxy.stores.sqlite import intents
from proxy.stores.sqlite.ledger import LedgerTables as SqliteLedger
from proxy.stores.sqlite.writer import Writer

# What is passed on the way, in its order: owner, function, the points before and after it.
STAGES: tuple[tuple[Any, str, str, str], ...] = (
    (CallsDoor, "__call__", "before-authenticate", ""),
    (Pipeline, "run", "after-authenticate", ""),
    (Admission, "__call__", "before-admit", "after-admit"),
    (Resolver, "__call__", "", "after-resolve"),
    (Decider, "__call__", "before-decide", "after-decide"),
    (run, "enforce", "", "after-enforce"),
    (Reserving, "__call__", "before-reserve", "after-reserve"),
    (Lending, "mint", "before-mint", "after-mint"),
    (SqliteLedger, "mark_sending", "before-sending", "after-sending"),
    (PostgresLedger, "mark_sending", "before-sending", "after-sending"),
    (Dispatch, "__call__", "before-dispatch", "after-dispatch"),
    (Starts, "__call__", "", "before-first-byte"),
    (GatedRequest, "send", "", "after-request"),
    (Settling, "close", "before-settle", "after-settle"),
    (Lending, "take_back", "before-revoke", "after-revoke"),
    (calls, "respond", "before-answer", "after-answer"),
)
# What is passed when a step that was left open is settled.
RECOVERY: tuple[tuple[Any, str, str, str], ...] = (
    (RecoveryTask, "_ask", "before-ask", "after-ask"),
    (RecoveryTask, "_resolve", "before-resolve", "after-resolve"),
)
IN_STORE = tuple(
    f"{what}-{when}" for what in ("reserve", "settle") for when in ("open", "commit", "committed")
)
ANY_MOMENT = "any-moment"
POINTS = (
    *dict.fromkeys(point for *_, before, after in STAGES for point in (before, after) if point),
    *IN_STORE,
    ANY_MOMENT,
)
IN_RECOVERY = tuple(point for *_, before, after in RECOVERY for point in (before, after))
OF_ASKED = IN_RECOVERY[:2]
OF_OPAQUE = ("before-sending", "after-sending")
WALK_S, SQLITE_COMMIT_S, POSTGRES_COMMIT_S = 0.15, 0.0008, 0.002
PATIENCE_S = 1.0


def die() -> None:
    """End this process as the kernel does it."""
    os.kill(os.getpid(), signal.SIGKILL)


def die_within(seconds: float) -> None:
    """End this process at some moment of the next so many seconds; until then it goes on."""

    def later() -> None:
        time.sleep(random.uniform(0, seconds))
        die()

    threading.Thread(target=later, daemon=True).start()


def came_file(file: Path) -> Path:
    """Return the file that is as many bytes long as calls had come: none is lost by a kill."""
    return file.with_name(f"{file.name}.came")


class Failpoint:
    """The point that FILE names, and who has come to it."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._come = 0

    def wanted(self, point: str) -> int:
        """Return how many calls have to come to this point; 0: it is not the one."""
        try:
            named = self._file.read_text().split()
        except FileNotFoundError:
            return 0
        return int(named[1]) if named[:1] == [point] else 0

    def reach(self, point: str, count: int = 1, end: Callable[[], None] = die) -> bool:
        """Count calls that have come; the last one ends the process. Whether it is the point."""
        wanted = self.wanted(point) if count else 0
        if not wanted:
            return False
        if not self._come:
            threading.Timer(PATIENCE_S, die).start()
        self._come += count
        with came_file(self._file).open("ab") as came:
            came.write(b"." * count)
        if self._come >= wanted:
            end()
        return True

    async def come(self, point: str) -> None:
        """Wait here for the others, for ever."""
        if self.reach(point):
            await asyncio.Event().wait()


def between_stages(failpoint: Failpoint, owner: Any, name: str, points: tuple[str, str]) -> None:
    """Put the points before and after one function of the walk."""
    whole: Callable[..., Any] = getattr(owner, name)
    before, after = points

    async def waiting(*args: Any, **more: Any) -> Any:
        await failpoint.come(before)
        answer = await whole(*args, **more)
        await failpoint.come(after)
        return answer

    def counting(*args: Any, **more: Any) -> Any:
        answer = whole(*args, **more)
        failpoint.reach(after)
        return answer

    setattr(owner, name, waiting if inspect.iscoroutinefunction(whole) else counting)


def in_sqlite(failpoint: Failpoint) -> None:
    """Put points into the transaction of the writer's thread, around its commit and after it."""
    batch = {"reserve": 0, "settle": 0}
    run_operations, commit_batch = Writer._run_operations, Writer._commit_batch

    def counted(what: str) -> None:
        operation: Callable[..., Any] = getattr(intents, what)

        def counting(*args: Any, **more: Any) -> Any:
            batch[what] += 1
            return operation(*args, **more)

        setattr(intents, what, counting)

    def opened(self: Writer, jobs: list[Any]) -> None:
        run_operations(self, jobs)
        for what, count in batch.items():
            failpoint.reach(f"{what}-open", count)
            failpoint.reach(f"{what}-commit", count, lambda: die_within(SQLITE_COMMIT_S))

    def committed(self: Writer) -> list[Any]:
        jobs = commit_batch(self)
        for what, count in batch.items():
            failpoint.reach(f"{what}-committed", count)
            batch[what] = 0
        return jobs

    for what in batch:
        counted(what)
    writer: Any = Writer
    writer._run_operations, writer._commit_batch = opened, committed


def in_postgres(failpoint: Failpoint, what: str) -> None:
    """Put points before the one statement of a batch, while the server works, and after it."""
    name = f"_{what}_all"
    commit: Callable[..., Any] = getattr(PostgresLedger, name)

    async def committing(self: PostgresLedger, items: Sequence[Any]) -> Any:
        if failpoint.reach(f"{what}-open", len(items)):
            await asyncio.Event().wait()
        failpoint.reach(f"{what}-commit", len(items), lambda: die_within(POSTGRES_COMMIT_S))
        results = await commit(self, items)
        if failpoint.reach(f"{what}-committed", len(items)):
            await asyncio.Event().wait()
        return results

    setattr(PostgresLedger, name, committing)


def at_any_moment(failpoint: Failpoint) -> None:
    """End some time after the first call has come in."""
    door: Any = CallsDoor
    whole = door.__call__

    async def passing(*args: Any) -> None:
        failpoint.reach(ANY_MOMENT, 1, lambda: die_within(WALK_S))
        await whole(*args)

    door.__call__ = passing


def prepare(file: Path) -> None:
    """Put in all the points."""
    failpoint = Failpoint(file)
    for owner, name, before, after in (*STAGES, *RECOVERY):
        between_stages(failpoint, owner, name, (before, after))
    in_sqlite(failpoint)
    for what in ("reserve", "settle"):
        in_postgres(failpoint, what)
    at_any_moment(failpoint)


def serve() -> None:
    """Run the command with the points in it."""
    prepare(Path(sys.argv.pop(1)))
    sys.argv[0] = "detent"
    main()


if __name__ == "__main__":
    serve()
