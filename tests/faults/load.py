"""Calls offered to every member of a fleet, whatever becomes of them."""

import asyncio
import itertools
import random
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import aiohttp

from tests.harness.fleet import Fleet

# How long calls of unsteady members wait between their reservation and the look at the lease.
LINGER_S = tuple(n / 10 for n in (1, 16, 4, 22, 7, 26, 10, 19, 13, 30))
AT_ONCE = 40  # calls of one member


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds between two calls of one member; a fault shows best in calls that linger."""

    plain_s: float = 2.0
    lingering_s: float = 0.25


class Load:
    """Offers calls while the block runs."""

    def __init__(self, fleet: Fleet, pace: Pace) -> None:
        self._fleet = fleet
        self._pace = pace
        self._tasks: set[asyncio.Task[None]] = set()
        self.offered = 0

    async def __aenter__(self) -> Self:
        for name in self._fleet.members:
            self._later(self._offer(name))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _offer(self, name: str) -> None:
        lingers = name in self._fleet.plan.unsteady
        pace_s = self._pace.lingering_s if lingers else self._pace.plain_s
        under_way: set[asyncio.Task[None]] = set()
        await asyncio.sleep(random.random() * pace_s)
        for number in itertools.count():
            waits_s = LINGER_S[number % len(LINGER_S)]
            text = f"linger {waits_s} {name}" if lingers else name
            under_way = {task for task in under_way if not task.done()}
            if len(under_way) < AT_ONCE:
                under_way.add(self._later(self._call(name, text)))
            await asyncio.sleep(pace_s)

    async def _call(self, name: str, text: str) -> None:
        self.offered += 1
        # A process that was killed has no client: RuntimeError.
        with suppress(aiohttp.ClientError, TimeoutError, RuntimeError):
            await self._fleet.call(name, "start", text)

    def _later(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
