"""A tool that keeps every byte it is sent: a raw HTTP/1.1 server on loopback.

Tests script its answers on the stream itself, so broken, late and missing answers are real ones.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self


@dataclass(frozen=True, slots=True)
class Received:
    """One request as it came over the wire."""

    line: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    @property
    def target(self) -> str:
        """The request target, undecoded."""
        return self.line.split(" ")[1]

    def header(self, name: str) -> str | None:
        """Return the only value of a header."""
        values = [value for key, value in self.headers if key.lower() == name.lower()]
        assert len(values) <= 1, f"{name} came {len(values)} times"
        return values[0] if values else None

    @property
    def names(self) -> set[str]:
        """Every header name, in lower case."""
        return {key.lower() for key, _ in self.headers}


def answer(body: bytes = b"{}", status: int = 200, **headers: str) -> bytes:
    """Return a whole answer; underscores in header names stand for dashes."""
    fields = {"content_type": "application/json", "content_length": str(len(body)), **headers}
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status} Answer\r\n{lines}\r\n".encode() + body


MAX_HEAD_BYTES = 65536
Handler = Callable[[Received, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Wire:
    """The server. `handler` writes the answer; the default says 200 and `{}`.

    `bytes_seen` counts every byte of every connection, whole request or not.
    """

    handler: Handler | None = None
    tls: ssl.SSLContext | None = None
    requests: list[Received] = field(default_factory=list)
    connections: int = 0
    bytes_seen: int = 0
    port: int = 0
    host: str = "127.0.0.1"
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)
    _server: asyncio.Server | None = None
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def url(self) -> str:
        """The base URL of this server."""
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, self.host, self.port, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def until(self, count: int) -> None:
        """Wait until that many requests have come."""
        async with asyncio.timeout(5), self._news:
            await self._news.wait_for(lambda: len(self.requests) >= count)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        early = b""
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                while not writer.is_closing():
                    received = await self._read(reader, early)
                    self.requests.append(received)
                    async with self._news:
                        self._news.notify_all()
                    early = await self._answer(received, reader, writer)
                    await writer.drain()
        finally:
            self.closed.set()
            writer.close()

    async def _answer(
        self, received: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bytes:
        """Answer until done or the other end is gone; return what came in meanwhile."""
        answering = asyncio.create_task(self._handle(received, writer))
        coming = asyncio.create_task(reader.read(1))
        try:
            await asyncio.wait({answering, coming}, return_when=asyncio.FIRST_COMPLETED)
            if not answering.done() and coming.result():
                await answering
        finally:
            for task in (answering, coming):
                task.cancel()
            await asyncio.wait({answering, coming})
        if not coming.cancelled() and not coming.result():
            raise ConnectionResetError
        answering.result()
        return b"" if coming.cancelled() else coming.result()

    async def _handle(self, received: Received, writer: asyncio.StreamWriter) -> None:
        if self.handler is None:
            writer.write(answer())
        else:
            await self.handler(received, writer)

    async def _read(self, reader: asyncio.StreamReader, early: bytes) -> Received:
        head = bytearray(early)
        self.bytes_seen += len(early)
        while not head.endswith(b"\r\n\r\n"):
            head += await reader.readexactly(1)
            self.bytes_seen += 1
            if len(head) > MAX_HEAD_BYTES:
                raise ConnectionResetError
        line, *rest = head.decode("latin-1").split("\r\n")[:-2]
        fields = tuple(
            (name, value.strip()) for name, _, value in (one.partition(":") for one in rest)
        )
        length = int(
            next((value for name, value in fields if name.lower() == "content-length"), "0")
        )
        body = await reader.readexactly(length)
        self.bytes_seen += length
        return Received(line, fields, body)
