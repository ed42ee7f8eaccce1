import asyncio
import errno
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from proxy.errors import StoreRejected, StoreUnavailable
from proxy.stores.remote import outcomes as module
from proxy.stores.remote.outcomes import Outcomes


class Receiver:
    """A gateway that is there, or not."""

    def __init__(self) -> None:
        self.away = False
        self.never = b""
        self.got: list[bytes] = []

    async def __call__(self, line: bytes) -> None:
        if self.away:
            raise StoreUnavailable("away")
        if line == self.never:
            raise StoreRejected("404")
        self.got.append(line)


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Receiver:
    monkeypatch.setattr(module, "RETRY_S", 0.01)
    return Receiver()


@pytest.fixture
async def outcomes(tmp_path: Path, receiver: Receiver) -> AsyncIterator[Outcomes]:
    outcomes = Outcomes(tmp_path / "outcomes.jsonl", receiver)
    await outcomes.open()
    yield outcomes
    await outcomes.close()


async def until(condition: Any) -> None:
    """Wait up to two seconds for a condition."""
    async with asyncio.timeout(2):
        while not condition():
            await asyncio.sleep(0.002)


async def test_an_outcome_goes_at_once(
    outcomes: Outcomes, receiver: Receiver, tmp_path: Path
) -> None:
    """Nothing is written when nothing has to wait."""
    await outcomes.add(b"[1]")
    assert receiver.got == [b"[1]"]
    assert not (tmp_path / "outcomes.jsonl").exists()


async def test_outcomes_wait_in_order_and_go_when_they_can(
    outcomes: Outcomes, receiver: Receiver, tmp_path: Path
) -> None:
    """One that comes later does not overtake those that wait; the file goes with the last."""
    receiver.away = True
    await outcomes.add(b"[1]")
    await outcomes.add(b"[2]")
    assert len(outcomes) == 2
    assert (tmp_path / "outcomes.jsonl").read_bytes() == b"[1]\n[2]\n"
    receiver.away = False
    await until(lambda: receiver.got == [b"[1]", b"[2]"])
    await until(lambda: not (tmp_path / "outcomes.jsonl").exists())


async def test_what_is_refused_for_good_is_set_aside(
    outcomes: Outcomes, receiver: Receiver, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What comes after it is delivered, and somebody can look at it."""
    receiver.away = True
    await outcomes.add(b"[1]")
    await outcomes.add(b"[2]")
    receiver.never, receiver.away = b"[1]", False
    await until(lambda: receiver.got == [b"[2]"])
    assert (tmp_path / "outcomes.refused").read_bytes() == b"[1]\n"
    assert "refused for good" in caplog.text


async def test_a_line_that_does_not_go_in_whole_is_not_there(
    outcomes: Outcomes, receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk takes some bytes of it, and the next line stands by itself."""
    receiver.away = True
    await outcomes.add(b"[1]")
    write, left = os.write, [2]

    def full(descriptor: int, data: memoryview) -> int:
        if not left[0]:
            raise OSError(errno.ENOSPC, "full")
        room, left[0] = left[0], 0
        return write(descriptor, data[:room])

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        with pytest.raises(StoreUnavailable):
            await outcomes.add(b"[2]")
    await outcomes.add(b"[3]")
    assert (tmp_path / "outcomes.jsonl").read_bytes() == b"[1]\n[3]\n"


async def test_another_run_delivers_what_was_left(receiver: Receiver, tmp_path: Path) -> None:
    """What was torn off in the middle was never recorded, and the next one is whole."""
    file = tmp_path / "outcomes.jsonl"
    file.write_bytes(b"[1]\n[2")
    receiver.away = True
    again = Outcomes(file, receiver)
    await again.open()
    await again.add(b"[3]")
    assert file.read_bytes() == b"[1]\n[3]\n"
    receiver.away = False
    await until(lambda: receiver.got == [b"[1]", b"[3]"])
    await again.close()


async def test_only_so_many_wait(
    outcomes: Outcomes, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One too many is told, not lost in silence."""
    monkeypatch.setattr(module, "MAX_WAITING", 1)
    receiver.away = True
    await outcomes.add(b"[1]")
    with pytest.raises(StoreUnavailable, match="Too many"):
        await outcomes.add(b"[2]")


async def test_a_disk_that_takes_nothing_is_told(receiver: Receiver, tmp_path: Path) -> None:
    """Then the outcome is known nowhere, and the caller has to know."""
    receiver.away = True
    nowhere = Outcomes(tmp_path / "gone" / "outcomes.jsonl", receiver)
    await nowhere.open()
    with pytest.raises(StoreUnavailable, match="written down"):
        await nowhere.add(b"[1]")
    await nowhere.close()
