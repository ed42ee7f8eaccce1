"""Real children, found by a mark on their command line and gone after every test."""

import asyncio
import os
import signal
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from proxy.process.child import Child, ChildSpec, spawn

PATH = {"PATH": "/usr/local/bin:/usr/bin:/bin"}


class Marked:
    """The living processes that carry one mark."""

    def __init__(self) -> None:
        self.seconds = f"300.{uuid.uuid4().int % 10**12}"

    @property
    def pids(self) -> set[int]:
        found = set()
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                if self.seconds.encode() in (entry / "cmdline").read_bytes():
                    found.add(int(entry.name))
            except (FileNotFoundError, ProcessLookupError):
                continue
        return found

    async def become(self, count: int, within_s: float = 5.0) -> int:
        """Wait for that many, return how many there are."""
        async with asyncio.timeout(within_s):
            while len(self.pids) != count:
                await asyncio.sleep(0.02)
        return len(self.pids)


@pytest.fixture
async def marked() -> AsyncIterator[Marked]:
    """Give a mark for processes; whoever carries it at the end is killed."""
    marked = Marked()
    yield marked
    for pid in marked.pids:
        os.kill(pid, signal.SIGKILL)


@pytest.fixture
async def run() -> AsyncIterator[Callable[..., Awaitable[Child]]]:
    """Spawn children that are stopped after the test."""
    children: list[Child] = []

    async def run(*command: str, pipes: bool = True, **fields: Any) -> Child:
        spec = ChildSpec(**({"name": "test", "command": command, "env": PATH} | fields))
        children.append(await spawn(spec, pipes=pipes))
        return children[-1]

    yield run
    for child in children:
        await child.stop(0)
