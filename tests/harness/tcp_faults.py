"""A TCP proxy that does to a connection what a bad network does, switched while it runs.

What is lost on the way is held and delivered when the network is mended, as TCP does by sending it
again: a partition ends with late answers, not with broken connections.
"""

import asyncio
import socket
import struct
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

CHUNK_BYTES = 65_536
AT_ONCE = struct.pack("ii", 1, 0)  # SO_LINGER: closing says RST
BACKLOG = 256  # chunks a direction holds before the sender has to wait


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to each direction. `delay_s` is one way; `resets` refuses every connection."""

    holds_requests: bool = False
    holds_replies: bool = False
    delay_s: float = 0.0
    resets: bool = False


HEALTHY = Fault()
CUT_OFF = Fault(holds_requests=True, holds_replies=True)
REPLIES_LOST = Fault(holds_replies=True)
REQUESTS_LOST = Fault(holds_requests=True)
RESET = Fault(resets=True)


def slow(delay_s: float) -> Fault:
    """Return a network that takes this much longer, each way."""
    return Fault(delay_s=delay_s)


class _Way:
    """One direction of all connections."""

    def __init__(self) -> None:
        self.delay_s = 0.0
        self._open = asyncio.Event()
        self._open.set()

    def set(self, delay_s: float, *, holds: bool) -> None:
        self.delay_s = delay_s
        if holds:
            self._open.clear()
        else:
            self._open.set()

    async def arrived(self, sent_at: float) -> None:
        """Return when what was sent then reaches the other side."""
        now = asyncio.get_running_loop().time
        while (left_s := sent_at + self.delay_s - now()) > 0:
            await asyncio.sleep(left_s)
        await self._open.wait()


class FaultyLink:
    """Listens on a free port of 127.0.0.1 and speaks to another one."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._requests, self._replies = _Way(), _Way()
        self._fault = HEALTHY
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._abort_all()

    @property
    def port(self) -> int:
        """Where it listens."""
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    def set(self, fault: Fault) -> None:
        """Change the network now; what is held goes on as soon as it may."""
        self._fault = fault
        self._requests.set(fault.delay_s, holds=fault.holds_requests)
        self._replies.set(fault.delay_s, holds=fault.holds_replies)
        if fault.resets:
            self._abort_all()

    def _abort_all(self) -> None:
        for writer in tuple(self._writers):
            _reset(writer)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._fault.resets:
            _reset(writer)
            return
        self._later(self._join(reader, writer))

    async def _join(self, near: asyncio.StreamReader, to_near: asyncio.StreamWriter) -> None:
        self._writers.add(to_near)
        try:
            await self._requests.arrived(asyncio.get_running_loop().time())
            far, to_far = await asyncio.open_connection("127.0.0.1", self._target_port)
        except OSError:
            _reset(to_near)
            self._writers.discard(to_near)
            return
        self._writers.add(to_far)
        self._later(self._carry(near, to_far, self._requests))
        self._later(self._carry(far, to_near, self._replies))

    async def _carry(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, way: _Way
    ) -> None:
        """Pass on what one side sends, its end and its breaking off included."""
        sent: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(BACKLOG)
        reading = asyncio.create_task(_read(source, sent))
        try:
            with suppress(OSError):
                while True:
                    at, part = await sent.get()
                    await way.arrived(at)
                    if not part:
                        break
                    target.write(part)
                    await target.drain()
        finally:
            reading.cancel()
            target.close()
            self._writers.discard(target)

    def _later(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _read(source: asyncio.StreamReader, sent: asyncio.Queue[tuple[float, bytes]]) -> None:
    """Note when each part was sent; the last one is empty."""
    now = asyncio.get_running_loop().time
    with suppress(OSError):
        while part := await source.read(CHUNK_BYTES):
            await sent.put((now(), part))
    await sent.put((now(), b""))


def _reset(writer: asyncio.StreamWriter) -> None:
    """Break a connection off; its peer hears of it at once."""
    made: socket.socket = writer.get_extra_info("socket")
    with suppress(OSError):
        made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
    writer.transport.abort()
