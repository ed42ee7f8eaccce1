"""The rows of the table: what is broken while a kill is made, and mended afterwards."""

import asyncio
import os
import re
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from tests.faults.judge import BOUND_S, HEALTHY_S
from tests.harness.fleet import Fleet
from tests.harness.processes import children_of
from tests.harness.tcp_faults import CUT_OFF, HEALTHY, REPLIES_LOST, Fault, slow

PAUSE_S = 2.0  # of a frozen gateway
STOPPED_S = 4.0  # of a frozen database
AWAY_S = 1.0  # of one that was killed
GONE_S = 10.0
DELAY_S = 0.4
FAKETIME = (
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
)
_LATE = re.compile(r"^detent_late_starts_total (\S+)$", re.MULTILINE)


@dataclass
class Marks:
    """What a row adds to what a trial sees anyway."""

    must_flag: int = 0
    flagged: int = 0
    problems: list[str] = field(default_factory=list)


Breaking = Callable[[Fleet], AbstractAsyncContextManager[Marks]]


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of fault. `bar_s` is the latest start; the kill is made `lead_s` after the fault.

    `is_in_model`: no clock drifts by more than was agreed without a chance to find that out.
    """

    name: str
    breaking: Breaking
    bar_s: float = BOUND_S
    lead_s: float = 0.05
    is_in_model: bool = True


@asynccontextmanager
async def nothing(fleet: Fleet) -> AsyncIterator[Marks]:
    """Leave everything as it is."""
    del fleet
    yield Marks()


def links(fault: Fault, *names: str) -> Breaking:
    """Let these members' way upwards fail."""

    @asynccontextmanager
    async def failing(fleet: Fleet) -> AsyncIterator[Marks]:
        chosen = [link for name, link in fleet.links.items() if name in names]
        for link in chosen:
            link.set(fault)
        try:
            yield Marks()
        finally:
            for link in chosen:
                link.set(HEALTHY)

    return failing


def killed(name: str) -> Breaking:
    """SIGKILL a member; it is started again afterwards."""

    @asynccontextmanager
    async def gone(fleet: Fleet) -> AsyncIterator[Marks]:
        await fleet.members[name].kill9()
        try:
            yield Marks()
        finally:
            await fleet.restart(name)

    return gone


def frozen(tool: str) -> Breaking:
    """Stop a gateway between its last look at the lease and the write of a call to this tool."""

    @asynccontextmanager
    async def stopped(fleet: Fleet) -> AsyncIterator[Marks]:
        name = fleet.plan.unsteady[0]
        marks = Marks(must_flag=1)
        before = await late_starts(fleet, name)
        calling = asyncio.create_task(fleet.call(name, tool, f"freeze {name}"))
        pid = fleet.members[name].pid
        await _until_stopped(pid)
        waking = asyncio.create_task(_wake([pid], PAUSE_S))
        try:
            yield marks
        finally:
            await waking
            with suppress(aiohttp.ClientError, TimeoutError):
                await calling
        marks.flagged = round(await late_starts(fleet, name) - before)

    return stopped


@asynccontextmanager
async def slow_clock(fleet: Fleet) -> AsyncIterator[Marks]:
    """Slow a gateway's clock of leases as it is cut off; nobody can tell it before its lease ends.

    Afterwards it is another process: its clock is not to be trusted for half a minute.
    """
    name = fleet.plan.unsteady[0]
    os.kill(fleet.members[name].pid, signal.SIGUSR2)
    try:
        async with links(CUT_OFF, name)(fleet) as marks:
            yield marks
    finally:
        await fleet.members[name].kill9()
        await fleet.restart(name)


@asynccontextmanager
async def slow_process(fleet: Fleet) -> AsyncIterator[Marks]:
    """Start a gateway all of whose clocks are slow (libfaketime); it has to find out itself."""
    name = fleet.plan.unsteady[0]
    member, marks = fleet.members[name], Marks()
    preload = {"LD_PRELOAD": str(faketime()), "FAKETIME": "+0 x0.8"}
    await member.kill9()
    member.world.environ |= preload
    try:
        await fleet.restart(name)
        yield marks
    finally:
        if "clock runs slower" not in member.text:
            marks.problems.append("the slow clock was not found out")
        await member.kill9()
        for variable in preload:
            del member.world.environ[variable]
        member.log.clear()
        await fleet.restart(name)


@asynccontextmanager
async def database_stopped(fleet: Fleet) -> AsyncIterator[Marks]:
    """Freeze every process of PostgreSQL: connections stay, nothing answers."""
    pids = [fleet.database.pid, *children_of(fleet.database.pid)]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    waking = asyncio.create_task(_wake(pids, STOPPED_S))
    try:
        yield Marks()
    finally:
        await waking


@asynccontextmanager
async def database_killed(fleet: Fleet) -> AsyncIterator[Marks]:
    """SIGKILL every process of PostgreSQL; it recovers a second later."""
    pids = (fleet.database.pid, *children_of(fleet.database.pid))
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    starting = asyncio.create_task(_start_database(fleet, AWAY_S, pids))
    try:
        yield Marks()
    finally:
        await starting


@asynccontextmanager
async def database_restarted(fleet: Fleet) -> AsyncIterator[Marks]:
    """Stop and start PostgreSQL as an administrator does."""
    await asyncio.to_thread(fleet.database.stop)
    starting = asyncio.create_task(_start_database(fleet))
    try:
        yield Marks()
    finally:
        await starting


def faketime() -> Path | None:
    """Return the library that slows a process's clocks, if it is installed."""
    return next((Path(one) for one in FAKETIME if Path(one).exists()), None)


async def late_starts(fleet: Fleet, name: str) -> float:
    """Return how many late starts a gateway has told of."""
    member = fleet.members[name]
    headers = {"Authorization": f"Bearer {member.world.operator_token}"}
    async with member.http.get(f"{member.operators}/metrics", headers=headers) as answer:
        found = _LATE.search(await answer.text())
    assert found is not None
    return float(found[1])


async def _start_database(fleet: Fleet, after_s: float = 0.0, dead: Iterable[int] = ()) -> None:
    """Start it when the machine has forgotten the processes before: it looks for them."""
    await asyncio.sleep(after_s)
    async with asyncio.timeout(GONE_S):
        while any(Path(f"/proc/{pid}").exists() for pid in dead):
            await asyncio.sleep(0.02)
    await asyncio.to_thread(fleet.database.start)


async def _until_stopped(pid: int) -> None:
    async with asyncio.timeout(5):
        while " T " not in Path(f"/proc/{pid}/stat").read_text():
            await asyncio.sleep(0.002)


async def _wake(pids: list[int], after_s: float) -> None:
    """Let processes go on, whatever happens meanwhile."""
    until = time.monotonic() + after_s
    try:
        while (left_s := until - time.monotonic()) > 0:
            await asyncio.sleep(left_s)
    finally:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


CUT = "gateway-1", "relay-2", "sidecar-1"
ROWS = (
    Row("healthy", nothing, HEALTHY_S),
    Row("replica cut off", links(CUT_OFF, "gateway-1")),
    Row("relay cut off", links(CUT_OFF, "relay-2")),
    Row("sidecar cut off", links(CUT_OFF, "sidecar-1")),
    Row("replies lost", links(REPLIES_LOST, *CUT)),
    Row("400 ms late", links(slow(DELAY_S), *CUT)),
    Row("frozen, tier A", frozen("fenced")),
    Row("frozen, tier B", frozen("start")),
    Row("clock at 0.8", slow_clock, is_in_model=False),
    Row("process at 0.8", slow_process),
    Row("PostgreSQL stopped", database_stopped, lead_s=0.5),
    Row("PostgreSQL killed", database_killed),
    Row("PostgreSQL restarted", database_restarted, lead_s=0.0),
    Row("gateway killed", killed("gateway-1")),
    Row("relay killed", killed("relay-2")),
)
