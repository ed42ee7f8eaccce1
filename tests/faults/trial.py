"""One trial: a busy fleet, a fault, a kill in the midst of it, and what the tool saw of that."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime

from tests.faults.judge import STREAMS_S, Seen, judge
from tests.faults.load import Load, Pace
from tests.faults.rows import Marks, Row
from tests.harness.fleet import Fleet
from tests.harness.mcp import open_idle_stream
from tests.matrix.trials import Found

BY = "relay-1"  # who is asked to kill
BUSY_S = 1.0  # of load before the fault
WATCH_S = STREAMS_S + 0.3  # after the commit, the fault still there
OPEN_S = 250.0  # longer than a trial lasts, and less than the client's own limit
AFTER_S = 0.7  # for what was held on the way to arrive
WAIT_S = 12  # for a kill to be effective
_LAST_KILL = """
SELECT epoch, extract(epoch FROM pg_xact_commit_timestamp(xmin))
FROM detent.kills WHERE action = 'kill' ORDER BY epoch DESC LIMIT 1
"""
STREAMS = ("gateway-1", "relay-1", "relay-2", "sidecar-1", "sidecar-2")


@dataclass(frozen=True, slots=True)
class Kill:
    """An answer to `POST /killswitch?wait=`; times on CLOCK_MONOTONIC in seconds."""

    epoch: int
    committed_at: float
    deadline_at: float
    effective_at: float | None


async def trial(fleet: Fleet, row: Row, pace: Pace | None = None) -> Found:
    """Run one trial and judge it; the kill is lifted afterwards, whatever it was."""
    await fleet.serving()
    await fleet.tool.news()
    epoch = 0
    try:
        async with _streams(fleet) as closed, Load(fleet, pace or Pace()) as load:
            await asyncio.sleep(BUSY_S)
            async with row.breaking(fleet) as marks:
                await asyncio.sleep(row.lead_s)
                kill = await kill_by(fleet, BY)
                epoch = kill.epoch
                await asyncio.sleep(max(0.0, kill.committed_at + WATCH_S - time.monotonic()))
            await asyncio.sleep(AFTER_S)
        seen = await _seen(fleet, kill, marks, closed)
        found = judge(replace(seen, is_in_model=row.is_in_model), row.bar_s)
    finally:
        if epoch:
            await fleet.members[BY].operate("DELETE", f"/killswitch/{epoch}", {"reason": "over"})
    problems = (*found.problems, *marks.problems)
    return Found(problems, {**found.figures, "offered": float(load.offered)})


async def kill_by(fleet: Fleet, name: str) -> Kill:
    """Kill everything and wait until that is effective; the commit's time is the database's."""
    status, told = await fleet.members[name].operate("POST", f"/killswitch?wait={WAIT_S}", {})
    answered_at = time.monotonic()
    if status != 200:
        raise RuntimeError(f"the kill was answered with {status}: not committed")
    offset_s = time.monotonic() - time.time()
    committed_at = await _committed_at(fleet, told["epoch"]) + offset_s
    deadline_at = datetime.fromisoformat(told["deadline"]).timestamp() + offset_s
    effective_at = answered_at if told["effective"] else None
    return Kill(told["epoch"], committed_at, deadline_at, effective_at)


async def _committed_at(fleet: Fleet, epoch: int) -> float:
    """Return when PostgreSQL committed the last kill, which is this one, in Unix seconds."""
    ((last, at),) = await fleet.query(_LAST_KILL)
    assert last == epoch
    return float(at)


async def _seen(fleet: Fleet, kill: Kill, marks: Marks, closed: dict[str, float | None]) -> Seen:
    return Seen(
        committed_at=kill.committed_at,
        deadline_at=kill.deadline_at,
        effective_at=kill.effective_at,
        arrivals=tuple(one for one in await fleet.tool.news() if one.path != "/warm"),
        streams=closed,
        must_flag=marks.must_flag,
        flagged=marks.flagged,
    )


@asynccontextmanager
async def _streams(fleet: Fleet) -> AsyncIterator[dict[str, float | None]]:
    """Hold a stream open at some members; when each was closed stands in what is yielded."""
    names = [name for name in STREAMS if name in fleet.members]
    closed: dict[str, float | None] = dict.fromkeys(names)
    opened = {name: await open_idle_stream(fleet.members[name]) for name in names}

    async def watch(name: str) -> None:
        closed[name] = await opened[name].closed(OPEN_S)

    watching = [asyncio.create_task(watch(name)) for name in names]
    try:
        yield closed
    finally:
        for task in watching:
            task.cancel()
        await asyncio.gather(*watching, return_exceptions=True)
        for stream in opened.values():
            await stream.leave()
