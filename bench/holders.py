"""`python -m bench.holders 2000 10000:250`: many kill leases of one gateway, and a kill for all.

Holders are sockets that speak the attach protocol and nothing else of a sidecar; they renew every
fifth of a lease, from two processes on one core, and the gateway has the other. After a colon: how
many of them one request renews. Prints a table and
writes it to bench/holders.md.
"""

import argparse
import asyncio
import contextlib
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from bench.holders_load import TERMS, now_s
from bench.load import quantile
from bench.run import cpu_s
from tests.harness.gateway import Gateway
from tests.harness.sidecars import Attachable
from tests.harness.world import ROOT, World

RESULTS = Path(__file__).with_name("holders.md")
PROCESSES, LINE_LIMIT = 2, 1 << 26


@dataclass(frozen=True)
class Killed:
    """One kill, in seconds after it was asked for; `heard` and `obeyed` are of the last holder."""

    committed: float
    heard: float
    obeyed: float
    effective: float
    reached: int


@dataclass(frozen=True)
class Measured:
    """One row."""

    holders: int
    at_once: int
    renewals_per_s: float
    cpu_share: float
    renewals_ms: list[float]
    lapsed: int
    refused: int
    kills: list[Killed]


class Holders:
    """The processes that hold leases."""

    def __init__(self, processes: list[asyncio.subprocess.Process]) -> None:
        self._processes = processes

    async def seen(self) -> list[dict[str, Any]]:
        """Return what each process saw since it was asked last."""
        for one in self._processes:
            assert one.stdin is not None
            one.stdin.write(b"\n")
        return [json.loads(await _line(one)) for one in self._processes]


async def _line(process: asyncio.subprocess.Process) -> bytes:
    assert process.stdout is not None
    return await asyncio.wait_for(process.stdout.readline(), 120)


@asynccontextmanager
async def holding(attachable: Attachable, count: int, at_once: int = 1) -> AsyncIterator[Holders]:
    """Start them; they have their leases when this returns."""
    processes: list[asyncio.subprocess.Process] = []
    command = (sys.executable, "-m", "bench.holders_load", attachable.url, attachable.token)
    pipe = asyncio.subprocess.PIPE
    try:
        for _ in range(PROCESSES):
            started = await asyncio.create_subprocess_exec(
                *command,
                str(count // PROCESSES),
                str(at_once),
                cwd=ROOT,
                limit=LINE_LIMIT,
                stdin=pipe,
                stdout=pipe,
            )
            processes.append(started)
        for one in processes:
            if await _line(one) != b"ready\n":
                raise RuntimeError("the holders got no leases")
        yield Holders(processes)
    finally:
        for one in processes:
            with contextlib.suppress(ProcessLookupError):
                one.kill()
            await one.wait()


async def kill(gateway: Gateway, holders: Holders, count: int) -> Killed:
    """Kill a scope nobody uses, wait until it is effective, lift it."""
    await holders.seen()
    asked_at, asked = now_s(), datetime.now(UTC)
    _, told = await gateway.operate("POST", "/killswitch?wait=5", {"scope": "tool:rec/nobodys"})
    effective = now_s() - asked_at
    committed = (datetime.fromisoformat(told["committed_at"]) - asked).total_seconds()
    await asyncio.sleep(TERMS.duration_s / 2)
    seen, epoch = await holders.seen(), str(told["epoch"])
    heard = [at - asked_at for one in seen for at in one["heard"].get(epoch, [])]
    obeyed = [at - asked_at for one in seen for at in one["obeyed"].get(epoch, [])]
    await gateway.operate("DELETE", f"/killswitch/{epoch}", {"reason": "measured"})
    await asyncio.sleep(TERMS.duration_s)
    last = max(heard, default=float("nan"))
    return Killed(committed, last, max(obeyed), effective, len(obeyed) - count)


async def measure(count: int, at_once: int, seconds: float, kills: int) -> Measured:
    """Let so many hold leases, look at the gateway, and kill a few times."""
    async with AsyncExitStack() as held:
        directory = Path(held.enter_context(tempfile.TemporaryDirectory()))
        attachable = Attachable(World(directory, "http://127.0.0.1:9"))
        os.sched_setaffinity(0, {1})
        gateway = await held.enter_async_context(Gateway(attachable.world))
        os.sched_setaffinity(0, {0})
        holders = await held.enter_async_context(holding(attachable, count, at_once))
        await asyncio.sleep(TERMS.bound_s + 1)
        await holders.seen()
        cpu, began = cpu_s(gateway.pid), now_s()
        await asyncio.sleep(seconds)
        seen, took_s = await holders.seen(), now_s() - began
        share = (cpu_s(gateway.pid) - cpu) / took_s
        done = [await kill(gateway, holders, count) for _ in range(kills)]
    times = sorted(at for one in seen for at in one["took_s"])
    renewals = sum(one["renewals"] for one in seen)
    lapsed, refused = (sum(one[name] for one in seen) for name in ("lapsed", "refused"))
    return Measured(count, at_once, renewals / took_s, share, times, lapsed, refused, done)


def table(rows: list[Measured]) -> str:
    """Return the table in Markdown; of the kills, median and worst."""
    names = (
        "holders", "in one request", "renewals/s", "gateway CPU", "µs a renewal",
        "renewal p50, p99 ms", "lapsed", "committed ms",
        "last heard ms", "last obeyed ms", "effective ms", "not reached",
    )  # fmt: skip
    lines = [f"| {' | '.join(names)} |", "|---" * len(names) + "|"]
    for row in rows:
        cost = 1e6 * row.cpu_share / row.renewals_per_s
        p50, p99 = (quantile(row.renewals_ms, q) for q in (0.5, 0.99))
        spans = " | ".join(
            _span([getattr(one, name) for one in row.kills])
            for name in ("committed", "heard", "obeyed", "effective")
        )
        missed = -min([one.reached for one in row.kills], default=0)
        lines.append(
            f"| {row.holders} | {row.at_once} | {row.renewals_per_s:.0f} | {row.cpu_share:.0%} "
            f"| {cost:.0f} | {p50:.1f}, {p99:.1f} | {row.lapsed} | {spans} | {missed} |"
        )
    return "\n".join(lines)


def _span(values: list[float]) -> str:
    return f"{1000 * median(values):.0f}, {1000 * max(values):.0f}" if values else "-"


async def main(rows: list[str], seconds: float, kills: int) -> None:
    """Measure each row and write the table down."""
    measured: list[Measured] = []
    for row in rows:
        count, _, at_once = row.partition(":")
        measured.append(await measure(int(count), int(at_once or 1), seconds, kills))
        load = " ".join(f"{one:.1f}" for one in os.getloadavg())
        text = (
            f"Leases of {TERMS.duration_s:.0f} s renewed every {TERMS.renew_every_s:.1f} s, "
            f"{seconds:.0f} s, then {kills} kills each (median, worst); load average {load}.\n\n"
        )
        RESULTS.write_text(text + table(measured) + "\n")
    print(RESULTS.read_text())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", nargs="*", default=["200", "2000", "10000:250"])
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--kills", type=int, default=5)
    given = parser.parse_args()
    asyncio.run(main(given.rows, given.seconds, given.kills))
