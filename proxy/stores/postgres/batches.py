"""Group commit: what waits while a statement is under way goes into the next one.

One round trip and one commit for all of a batch. A caller that is cancelled does not cancel its
item. An item that makes the server roll back a batch is tried again alone, and so are the others.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from proxy.errors import StoreError, StoreUnavailable
from proxy.stores.postgres.database import RolledBack

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(slots=True, eq=False)
class _Job(Generic[Item, Result]):
    item: Item
    done: asyncio.Future[Result]

    def tell(self, result: Result) -> None:
        if not self.done.done():
            self.done.set_result(result)

    def fail(self, error: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(error)


class Batches(Generic[Item, Result]):
    """Runs batches, at most `lanes` at once.

    `commit` makes a batch durable and returns a result for each item, in order; it raises
    StoreError, as RolledBack when nothing of it was written and each item may be tried alone.
    """

    def __init__(
        self,
        commit: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]],
        lanes: int = 2,
        max_batch: int = 64,
        max_waiting: int = 10_000,
    ) -> None:
        self._commit = commit
        self._lanes = lanes
        self._max_batch = max_batch
        self._max_waiting = max_waiting
        self._waiting: deque[_Job[Item, Result]] = deque()
        self._working: set[asyncio.Task[None]] = set()

    async def add(self, item: Item) -> Result:
        """Return the item's result once it is durable. Raises what `commit` does."""
        if len(self._waiting) >= self._max_waiting:
            raise StoreUnavailable("Too many writes are waiting for the ledger; try again.")
        loop = asyncio.get_running_loop()
        job: _Job[Item, Result] = _Job(item, loop.create_future())
        self._waiting.append(job)
        if len(self._working) < self._lanes:
            task = loop.create_task(self._work())
            self._working.add(task)
            task.add_done_callback(self._working.discard)
        return await job.done

    async def finish(self) -> None:
        """Return when nothing is under way."""
        while self._working:
            await asyncio.gather(*self._working, return_exceptions=True)

    async def _work(self) -> None:
        while self._waiting:
            size = min(len(self._waiting), self._max_batch)
            await self._run([self._waiting.popleft() for _ in range(size)])

    async def _run(self, jobs: Sequence[_Job[Item, Result]]) -> None:
        try:
            results = await self._commit([job.item for job in jobs])
        except RolledBack as error:
            await self._alone(jobs, error)
        except StoreError as error:
            for job in jobs:
                job.fail(error)
        else:
            for job, result in zip(jobs, results, strict=True):
                job.tell(result)

    async def _alone(self, jobs: Sequence[_Job[Item, Result]], error: StoreError) -> None:
        if len(jobs) == 1:
            jobs[0].fail(error)
            return
        for job in jobs:
            await self._run([job])
