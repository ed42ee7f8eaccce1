"""The unit looks at a socket's queues, so these tests open one."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass

import pytest

from proxy.ingress import unread
from proxy.ingress.unread import Unread

TIMEOUT_S, MIN_BYTES = 0.2, 10_000
SIZE = 8_000_000


class Writer(asyncio.Protocol):
    """Remembers that its connection was lost."""

    def __init__(self) -> None:
        self.lost = asyncio.Event()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()


@dataclass
class Pair:
    """A transport that is watched, and the socket at its other end."""

    transport: asyncio.Transport
    writer: Writer
    reader: socket.socket
    unread: Unread

    async def read(self, size: int) -> int:
        """Take as much."""
        loop, taken = asyncio.get_running_loop(), 0
        while taken < size and (chunk := await loop.sock_recv(self.reader, size - taken)):
            taken += len(chunk)
        return taken

    async def is_lost(self, within_s: float) -> bool:
        """Whether the connection is lost by then."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.writer.lost.wait(), within_s)
        return self.writer.lost.is_set()


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    """A connection over TCP on loopback."""
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as server:
        reader = socket.socket()
        # The kernel tells of room only when there is much of it, so the queue is kept small.
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32_768)
        reader.connect(server.getsockname())
        accepted, _ = server.accept()
    reader.setblocking(False)
    transport, writer = await loop.create_connection(Writer, sock=accepted)
    yield Pair(transport, writer, reader, Unread(transport, TIMEOUT_S, MIN_BYTES))
    transport.abort()
    await writer.lost.wait()
    reader.close()


async def test_who_reads_nothing_is_cut_off(pair: Pair, caplog: pytest.LogCaptureFixture) -> None:
    """After its while, and the log says so."""
    pair.transport.write(b"x" * SIZE)
    pair.unread.wait()
    assert not await pair.is_lost(TIMEOUT_S / 2)
    assert await pair.is_lost(TIMEOUT_S * 2)
    assert "not read in time" in caplog.text


async def test_the_rest_of_a_closing_connection_is_not_waited_for(pair: Pair) -> None:
    """Closing would wait for the reader without end."""
    pair.transport.write(b"x" * SIZE)
    pair.transport.close()
    pair.unread.wait()
    assert await pair.is_lost(TIMEOUT_S * 3)


async def test_who_reads_on_may_take_its_time(pair: Pair) -> None:
    """Much less than all of it in each while is enough, and all of it comes."""
    pair.transport.write(b"x" * SIZE)
    pair.unread.wait()
    for _ in range(12):
        await pair.read(100_000)
        assert not await pair.is_lost(TIMEOUT_S / 3)
    assert await pair.read(SIZE - 1_200_000) == SIZE - 1_200_000
    assert not await pair.is_lost(TIMEOUT_S * 3)


async def test_a_later_answer_has_its_own_while(pair: Pair) -> None:
    """What was written meanwhile does not inherit the while of what came before."""
    pair.transport.write(b"x" * SIZE)
    pair.unread.wait()
    await pair.is_lost(TIMEOUT_S * 0.7)
    pair.unread.wait()
    assert not await pair.is_lost(TIMEOUT_S * 0.7)
    assert await pair.is_lost(TIMEOUT_S)


async def test_what_is_read_is_not_waited_for(pair: Pair) -> None:
    """A small answer starts no while."""
    pair.transport.write(b"x")
    pair.unread.wait()
    assert not await pair.is_lost(TIMEOUT_S * 2)


async def test_a_connection_that_is_gone_is_not_looked_at(pair: Pair) -> None:
    """Neither by the timer nor by what comes late."""
    pair.transport.write(b"x" * SIZE)
    pair.unread.wait()
    pair.unread.forget()
    pair.unread.wait()
    assert not await pair.is_lost(TIMEOUT_S * 2)


async def test_in_a_hurry_what_is_not_read_is_thrown_away(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection goes with it, long before the usual while is over."""
    monkeypatch.setattr(unread, "GRACE_S", 0.02)
    pair.transport.write(b"x" * SIZE)
    pair.unread.hurry()
    assert await pair.is_lost(within_s=TIMEOUT_S / 2)


async def test_in_a_hurry_what_was_read_harms_nobody(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that took everything keeps its connection."""
    monkeypatch.setattr(unread, "GRACE_S", 0.02)
    pair.transport.write(b"x")
    pair.unread.hurry()
    assert not await pair.is_lost(within_s=0.1)


async def test_a_hurry_ends_with_the_connection(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is said of a connection that is gone."""
    monkeypatch.setattr(unread, "GRACE_S", 0.02)
    pair.transport.write(b"x" * SIZE)
    pair.unread.hurry()
    pair.unread.forget()
    assert not await pair.is_lost(within_s=0.1)
    assert caplog.records == []
