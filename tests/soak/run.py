"""`python -m tests.soak.run`: replicas under load and faults; then the whole history is judged.

Everything that happens is decided by the seed, but not when it meets what: a run with the same seed
is a similar one. Report and table are kept in var/soak; of a run with violations, also what the
processes left behind.
"""

import argparse
import asyncio
import json
import os
import shutil
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import asyncpg

from tests.harness.postgres import database_of
from tests.harness.world import ROOT
from tests.history.check import judge
from tests.history.records import Account
from tests.history.told import History, Violation
from tests.soak.collect import (
    LEDGER,
    LEDGER_OFF_S,
    Ledger,
    Noted,
    arrivals_of,
    kills_of,
)
from tests.soak.faults import Faults, Operators, Streams
from tests.soak.fleet import TIMEOUT_S, Fleet
from tests.soak.load import Load
from tests.soak.memory import Memory
from tests.soak.observed import now_s
from tests.soak.report import Run, report, table

RESULTS = ROOT / "var" / "soak"
RECOVERY_S = 30.0
TRANSIT_S = 0.5
BUDGETS_EVERY_S = 2.0
AWAY = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)


@dataclass(frozen=True)
class Asked:
    """What to run."""

    minutes: float = 30.0
    rate: float = 200.0
    replicas: int = 3
    seed: int = 1


class Soak:
    """One run: everything that happens at the same time, and what is seen of it."""

    def __init__(self, asked: Asked, fleet: Fleet) -> None:
        self._asked = asked
        self._fleet = fleet
        self._began_at = now_s()
        self._ledger = Ledger(fleet.postgres, database_of(fleet.url))
        self._load = Load(fleet, asked.rate, Random(f"load {asked.seed}"))
        self._faults = Faults(fleet, Random(f"faults {asked.seed}"))
        self._streams, self._memory = Streams(fleet), Memory(fleet)
        self._accounts: list[Account] = []
        self._seconds = 0.0

    async def run(self) -> None:
        """Go on for the time that was asked for; then let everything come to rest."""
        await self._load.open_sessions()
        chance = Random(f"kills {self._asked.seed}")
        self._operators = Operators(self._fleet, list(self._load.sessions), chance)
        self._began_at = now_s()
        ending, watched = asyncio.Event(), asyncio.Event()
        watching = asyncio.create_task(self._memory.run(watched))
        async with asyncio.TaskGroup() as group:
            for part in (self._load, self._faults, self._operators, self._streams):
                group.create_task(part.run(ending))
            group.create_task(self._look_at_budgets(ending))
            await asyncio.sleep(60 * self._asked.minutes)
            self._seconds = now_s() - self._began_at
            ending.set()
        await self._rest()
        watched.set()
        await watching

    async def _rest(self) -> None:
        """Wait until every step is settled, at the most for as long as that may take."""
        until = now_s() + TIMEOUT_S + RECOVERY_S + 10
        while await self._ledger.unsettled() and now_s() < until:
            await asyncio.sleep(0.5)

    async def _look_at_budgets(self, until: asyncio.Event) -> None:
        while not until.is_set():
            try:
                self._accounts += await self._ledger.accounts(is_last=False)
            except AWAY:  # that is one of the faults
                await asyncio.sleep(0.1)
            await asyncio.sleep(BUDGETS_EVERY_S)

    async def rows(self) -> dict[str, Any]:
        """Return what the ledger says at the end; the replicas run still."""
        log, epochs = await self._ledger.log()
        return {
            "log": log,
            "epochs": epochs,
            "steps": await self._ledger.steps(),
            "accounts": (*self._accounts, *await self._ledger.accounts(is_last=True)),
            "verdicts": await self._ledger.verdicts(),
        }

    def history(self, rows: dict[str, Any]) -> History:
        """Return everything that is known, after the processes have ended."""
        noted, epochs = Noted(self._fleet.replicas), rows.pop("epochs")
        return History(
            ended_at=now_s(),
            calls=tuple(self._load.calls),
            starts=tuple(noted.starts),
            arrivals=arrivals_of(self._fleet.arrivals),
            kills=kills_of(self._operators, epochs, noted.seen, rows["log"]),
            renewals=tuple(noted.renewals),
            extensions=tuple(noted.extensions),
            seen=tuple(noted.seen),
            views=tuple(self._faults.views),
            streams=tuple(self._streams.seen),
            flags=tuple(noted.flags),
            outages=tuple(one for replica in self._fleet.replicas for one in replica.outages),
            recovery_s=RECOVERY_S,
            transit_s=TRANSIT_S,
            unrecorded=frozenset({"rec/written"}),
            clocks={"boot": 0.0, LEDGER: LEDGER_OFF_S},
            **rows,
        )

    def report(self, history: History, violations: tuple[Violation, ...]) -> dict[str, Any]:
        """Return the report of this run."""
        asked = self._asked
        left = sum(call.end is None for call in history.calls)
        run = Run(
            asked.seed, asked.minutes, asked.rate, asked.replicas, self._seconds,
            self._load.offered, os.getloadavg(),
            dict(self._faults.counted) | {"clients that heard nothing": left},
        )  # fmt: skip
        return report(run, history, violations, self._memory.held())


async def soak(asked: Asked, directory: Path) -> tuple[dict[str, Any], tuple[Violation, ...]]:
    """Run in a directory; return the report and what is wrong."""
    async with Fleet(directory, asked.replicas) as fleet:
        run = Soak(asked, fleet)
        await run.run()
        rows = await run.rows()
    history = run.history(rows)
    violations = judge(history)
    return run.report(history, violations), violations


def main() -> int:
    """Run, keep the report, say what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=Asked.minutes)
    parser.add_argument("--rate", type=float, default=Asked.rate)
    parser.add_argument("--replicas", type=int, default=Asked.replicas)
    parser.add_argument("--seed", type=int, default=Asked.seed)
    asked = replace(Asked(), **vars(parser.parse_args()))
    directory = Path(tempfile.mkdtemp(prefix="detent-soak-"))
    found, violations = asyncio.run(soak(asked, directory))
    RESULTS.mkdir(parents=True, exist_ok=True)
    name = RESULTS / f"seed-{asked.seed}"
    name.with_suffix(".json").write_text(json.dumps(found, indent=1))
    name.with_suffix(".md").write_text(table(found) + "\n")
    sys.stdout.write(table(found) + "\n")
    if violations:
        name.with_suffix(".violations").write_text("\n\n".join(map(str, violations)))
        sys.stdout.write(f"what the processes noted is kept in {directory}\n")
    else:
        name.with_suffix(".violations").unlink(missing_ok=True)  # of an earlier run
        shutil.rmtree(directory)
    grew = any(one["flat"] is False for one in found["memory"]["processes"])
    return 1 if violations or grew else 0


if __name__ == "__main__":
    sys.exit(main())
