import asyncio
import signal
import socket
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from proxy.process.siblings import Mailbox, Siblings
from proxy.process.worker import HEEDED, Worker, take_signals


@dataclass
class Pair:
    """A worker and its parent's end of their socket."""

    worker: Worker
    parent: socket.socket


@pytest.fixture
def pair() -> Iterator[Pair]:
    parent, control = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    mailbox = Mailbox.new()
    with parent, control:
        yield Pair(Worker(1, control, Siblings(1, (mailbox,))), parent)
    mailbox.close()


async def test_it_tells_its_parent_that_it_serves(pair: Pair) -> None:
    """Once; a parent that has gone is no error."""
    pair.worker.serves()
    assert pair.parent.recv(64) == b"serves"
    pair.parent.close()
    pair.worker.serves()


async def test_it_hears_what_to_halt(pair: Pair) -> None:
    """Each order with its id, also one from before it listened."""
    heard: list[str] = []
    pair.parent.send(b"halt kil_1")
    pair.worker.hear(heard.append)
    pair.parent.send(b"what kil_2")
    pair.parent.send(b"halt kil_3")
    async with asyncio.timeout(5):
        while len(heard) < 2:
            await asyncio.sleep(0.001)
    assert heard == ["kil_1", "kil_3"]
    pair.parent.close()
    await asyncio.sleep(0.01)
    assert not asyncio.get_running_loop().remove_reader(pair.worker.control)


async def test_a_wrong_alarm_is_nothing(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """A socket may be said to have something and have nothing."""
    heard: list[str] = []
    ready = []
    monkeypatch.setattr(
        asyncio.get_running_loop(), "add_reader", lambda _, call: ready.append(call)
    )
    pair.worker.hear(heard.append)
    ready[0]()
    assert heard == []


def test_held_back_signals_are_taken() -> None:
    """Those of a worker, and no others."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {*HEEDED, signal.SIGWINCH})
    try:
        take_signals()
        held = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        assert held.isdisjoint(HEEDED)
        assert signal.SIGWINCH in held
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
