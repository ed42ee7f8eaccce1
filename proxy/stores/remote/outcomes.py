"""Outcomes that could not be delivered: written down here, delivered in order when it is possible.

One JSON array a line, fsynced before the outcome counts as recorded. What was delivered before a
crash is delivered again after it, which changes nothing.
"""

import asyncio
import contextlib
import logging
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

from proxy.errors import StoreRejected, StoreUnavailable

log = logging.getLogger(__name__)

RETRY_S = 0.5
MAX_WAITING = 10_000

Deliver = Callable[[bytes], Awaitable[None]]


class Outcomes:
    """A file of outcomes and the task that empties it. `deliver` raises StoreUnavailable."""

    def __init__(self, path: Path, deliver: Deliver) -> None:
        self._path = path
        self._deliver = deliver
        self._waiting: list[bytes] = []
        self._file = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._waiting)

    async def open(self) -> None:
        """Take up what an earlier run left, and begin to deliver it."""
        self._waiting = await asyncio.to_thread(self._read)
        self._begin()

    async def close(self) -> None:
        """Stop delivering; what waits stays on disk."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def add(self, line: bytes) -> None:
        """Deliver an outcome now, or write it down. Raises StoreUnavailable when neither goes."""
        if not self._waiting:
            with contextlib.suppress(StoreUnavailable):
                await self._deliver(line)
                return
        async with self._file:
            if len(self._waiting) >= MAX_WAITING:
                raise StoreUnavailable("Too many outcomes wait for the gateway.")
            try:
                await asyncio.to_thread(_append, self._path, line)
            except OSError as error:
                raise StoreUnavailable("The outcome cannot be written down here.") from error
            self._waiting.append(line)
        self._begin()

    def _begin(self) -> None:
        if self._waiting and (self._task is None or self._task.done()):
            self._task = asyncio.get_running_loop().create_task(self._empty())

    async def _empty(self) -> None:
        while self._waiting:
            try:
                await self._deliver(self._waiting[0])
            except StoreRejected as error:
                await self._set_aside(self._waiting[0], error)
                await self._delivered()
            except StoreUnavailable:
                await asyncio.sleep(RETRY_S)
            else:
                await self._delivered()

    async def _delivered(self) -> None:
        async with self._file:
            del self._waiting[0]
            if not self._waiting:
                await asyncio.to_thread(self._path.unlink, missing_ok=True)
                log.warning("every outcome is delivered to the gateway")

    async def _set_aside(self, line: bytes, error: StoreRejected) -> None:
        """Keep what the gateway never takes: it must not stand before all that comes after it."""
        aside = self._path.with_suffix(".refused")
        log.critical("an outcome was refused for good and is kept in %s: %s", aside.name, error)
        with contextlib.suppress(OSError):
            await asyncio.to_thread(_append, aside, line)

    def _read(self) -> list[bytes]:
        """Return the lines of the file; cut off a last one without its end: it never counted."""
        try:
            whole, end, torn = self._path.read_bytes().rpartition(b"\n")
        except FileNotFoundError:
            return []
        if torn:
            os.truncate(self._path, len(whole) + len(end))
        return whole.split(b"\n") if whole else []


def _append(path: Path, line: bytes) -> None:
    """Write a whole line and its end, or nothing. Raises OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        before = os.fstat(descriptor).st_size
        try:
            rest = memoryview(line + b"\n")
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            os.fsync(descriptor)
        except OSError:
            os.ftruncate(descriptor, before)
            raise
    finally:
        os.close(descriptor)
