import asyncio
from collections.abc import Callable

import pytest

from proxy.app import endless as module
from proxy.app.endless import endless


class Work:
    """Ends in every way there is, then goes on."""

    def __init__(self, *ends: Callable[[], None]) -> None:
        self.ends = list(ends)
        self.goes_on = asyncio.Event()

    async def __call__(self) -> None:
        if self.ends:
            self.ends.pop(0)()
            return
        self.goes_on.set()
        await asyncio.Event().wait()


def fail() -> None:
    raise RuntimeError


def end() -> None:
    """Do nothing more."""


def give_up() -> None:
    raise asyncio.CancelledError


async def test_work_that_ends_begins_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """However it ends; the same end is told once, also when nobody can be told."""
    monkeypatch.setattr(module, "AGAIN_S", 0)
    work, told = Work(fail, fail, give_up, end, fail), []

    async def tell(kind: str, message: str) -> None:
        told.append(f"{kind}: {message}")
        raise OSError

    task = asyncio.create_task(endless("it", work, tell))
    async with asyncio.timeout(5):
        await work.goes_on.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    ends = ("RuntimeError", "NoneType", "RuntimeError")
    assert told == [f"policy-not-followed: it has ended ({end}) and begins again" for end in ends]


async def test_cancelled_work_ends_with_it() -> None:
    """Nothing of it goes on."""
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def tell(_kind: str, _message: str) -> None:
        raise AssertionError

    task = asyncio.create_task(endless("it", work, tell))
    await asyncio.sleep(0.01)
    task.cancel()
    async with asyncio.timeout(5):
        await ended.wait()
