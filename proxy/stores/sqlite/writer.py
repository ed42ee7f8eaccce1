"""The one thread that writes.

Callers queue operations; the thread runs all that wait, each undone by itself, inside one
transaction, and wakes the callers after the commit. One fsync is shared by everybody in the
batch, and nobody is told of a write that is not on the disk.
"""

import asyncio
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from queue import SimpleQueue
from types import TracebackType
from typing import Any, TypeVar

from proxy.errors import StoreUnavailable

T = TypeVar("T")
Operation = Callable[[sqlite3.Connection], T]
"""What runs on a connection: any number of statements, no BEGIN, COMMIT or ROLLBACK."""

_BEGIN = "BEGIN IMMEDIATE"
_REFUSED_BY_SQLITE = (sqlite3.Error, OverflowError, UnicodeEncodeError)


@dataclass(slots=True, eq=False)
class _Job:
    operation: Operation[Any]
    done: asyncio.Future[Any]
    result: Any = None
    error: BaseException | None = None

    def wake(self) -> None:
        """Tell the caller, on the loop's thread; one that was cancelled is not told."""
        if self.done.done():
            return
        if self.error is None:
            self.done.set_result(self.result)
        else:
            self.done.set_exception(self.error)


class _Savepoint:
    """What an operation raises undoes its own writes and nobody else's.

    The first of a batch needs no savepoint: to undo it is to begin the transaction again.
    """

    def __init__(self, connection: sqlite3.Connection, job: _Job, *, is_first: bool) -> None:
        self._connection = connection
        self._job = job
        self._is_first = is_first

    def __enter__(self) -> None:
        if not self._is_first:
            self._connection.execute("SAVEPOINT operation")

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> bool:
        if not self._connection.in_transaction:
            # It ended the transaction, or SQLite did, as on a full disk: the whole batch is lost.
            said = _said(error) if error else "an operation ended the transaction"
            raise sqlite3.OperationalError(said) from error
        if error is not None:
            self._undo()
            self._job.error = _as_unavailable(error)
        elif not self._is_first:
            self._connection.execute("RELEASE operation")
        return isinstance(error, Exception)

    def _undo(self) -> None:
        if self._is_first:
            self._connection.rollback()
            self._connection.execute(_BEGIN)
        else:
            self._connection.execute("ROLLBACK TO operation")
            self._connection.execute("RELEASE operation")


class Writer:
    """Group commit with a lane for kills.

    An urgent operation ends the batch under way, commits alone and so waits for at most one other
    operation and one commit. All others run in the order they were queued. A full queue refuses
    at once. A caller that is cancelled does not cancel its operation.
    """

    def __init__(
        self, connection: sqlite3.Connection, max_batch: int = 128, max_queued: int = 10_000
    ) -> None:
        self._connection = connection
        self._max_batch = max_batch
        self._max_queued = max_queued
        self._urgent: deque[_Job] = deque()
        self._queued: deque[_Job] = deque()
        self._bell: SimpleQueue[None] = (
            SimpleQueue()
        )  # it wakes the thread, the lanes have the work
        self._closing = False
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._work, name="ledger-writer", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    async def run(self, operation: Operation[T], *, urgent: bool = False) -> T:
        """Return what the operation returned, once that is durable.

        Raises what the operation raised, or StoreUnavailable when nothing of it was written.
        """
        if self._closing:
            raise StoreUnavailable("The ledger is closed.")
        if not urgent and len(self._queued) >= self._max_queued:
            raise StoreUnavailable("Too many writes are waiting for the disk; try again.")
        job = _Job(operation, self._loop.create_future())
        (self._urgent if urgent else self._queued).append(job)
        self._bell.put(None)
        result: T = await job.done
        return result

    async def stop(self) -> None:
        """Finish what is queued and end the thread."""
        self._closing = True
        self._bell.put(None)
        await asyncio.to_thread(self._thread.join)

    def _work(self) -> None:
        while self._wait_for_work():
            finished = self._commit_batch()
            # A loop that closed without closing the store has nobody left to tell.
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(_wake, finished)

    def _wait_for_work(self) -> bool:
        while not (self._urgent or self._queued or self._closing):
            self._bell.get()
        return bool(self._urgent or self._queued)

    def _commit_batch(self) -> list[_Job]:
        batch: list[_Job] = []
        try:
            self._connection.execute(_BEGIN)
            self._run_operations(batch)
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._give_up(batch, error)
        return batch

    def _run_operations(self, batch: list[_Job]) -> None:
        lane = self._urgent or self._queued
        while lane and len(batch) < self._max_batch:
            if self._urgent and lane is not self._urgent:
                break
            job = lane.popleft()
            batch.append(job)
            with _Savepoint(self._connection, job, is_first=len(batch) == 1):
                job.result = job.operation(self._connection)

    def _give_up(self, batch: list[_Job], error: sqlite3.Error) -> None:
        """Fail the batch, or all who wait when it could not begin: nobody waits for every batch."""
        with suppress(sqlite3.Error):
            self._connection.rollback()
        if not batch:
            batch.extend(_drained(self._urgent))
            batch.extend(_drained(self._queued))
        for job in batch:
            job.error = _as_unavailable(error)


def _drained(lane: deque[_Job]) -> Iterable[_Job]:
    while lane:
        yield lane.popleft()


def _wake(batch: list[_Job]) -> None:
    for job in batch:
        job.wake()


def _as_unavailable(error: BaseException) -> BaseException:
    if not isinstance(error, _REFUSED_BY_SQLITE):
        return error
    unavailable = StoreUnavailable(f"The ledger did not take the write: {_said(error)}.")
    unavailable.__cause__ = error
    return unavailable


def _said(error: BaseException) -> str:
    """Return what SQLite says, which names tables and columns; others might name a value."""
    return str(error) if isinstance(error, sqlite3.Error) else "a value does not fit"
