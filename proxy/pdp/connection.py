"""HTTP/1.1 over a unix socket: kept-alive connections, one request at a time on each.

Less than half the CPU of a general client, on the path of every call. It never retries, follows or
decodes anything.
"""

import asyncio
import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import httptools

MAX_HEAD_BYTES = 8 * 1024
MAX_IDLE = 32


class ExchangeFailed(Exception):
    """A request got no answer; whether it was evaluated does not matter."""


@dataclass(frozen=True, slots=True)
class Response:
    """An answer, complete."""

    status: int
    body: bytes


class Connection(asyncio.Protocol):
    """One connection; any surprise on it closes it."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._transport: asyncio.WriteTransport | None = None
        self._waiting: asyncio.Future[Response] | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._body = bytearray()
        self._received = 0

    @property
    def usable(self) -> bool:
        """Whether another request may be sent."""
        return self._transport is not None and self._waiting is None

    async def ask(self, request: bytes) -> Response:
        """Send one request and return its answer. Raises ExchangeFailed."""
        if self._transport is None:
            raise ExchangeFailed("the connection is closed")
        self._waiting = asyncio.get_running_loop().create_future()
        self._parser = httptools.HttpResponseParser(self)
        self._body.clear()
        self._received = 0
        self._transport.write(request)
        return await self._waiting

    def abort(self) -> None:
        """Close now; whoever waits is told."""
        self._fail("the connection was closed")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport; asyncio calls this. uvloop's is no subclass of asyncio's."""
        self._transport = cast("asyncio.WriteTransport", transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's name
        """Note that the other side is gone; asyncio calls this."""
        self._fail("OPA closed the connection")

    def data_received(self, data: bytes) -> None:
        """Parse what came; asyncio calls this."""
        self._received += len(data)
        if self._waiting is None:
            return self._fail("OPA spoke unasked")
        if self._received > self._max_bytes + MAX_HEAD_BYTES:
            return self._fail(f"OPA answered with more than {self._max_bytes} bytes")
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._fail("OPA answered with something that is not HTTP")
        return None

    def on_body(self, chunk: bytes) -> None:
        """Collect a piece of the body; the parser calls this."""
        self._body += chunk

    def on_message_complete(self) -> None:
        """Hand over the answer; the parser calls this."""
        waiting, self._waiting = self._waiting, None
        if waiting is None:
            return self._fail("OPA answered twice")
        if not waiting.done():
            waiting.set_result(Response(self._parser.get_status_code(), bytes(self._body)))
        if not self._parser.should_keep_alive():
            self._fail("OPA closes the connection")
        return None

    def _fail(self, why: str) -> None:
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.done():
            waiting.set_exception(ExchangeFailed(why))


class Connections:
    """As many connections to one socket as there are requests under way."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        self._path = str(path)
        self._max_bytes = max_bytes
        self._idle: list[Connection] = []
        self._busy: set[Connection] = set()
        self._closed = False
        self._quiet = asyncio.Event()
        self._quiet.set()

    async def exchange(self, request: bytes) -> Response:
        """Send a request, return its answer. Raises ExchangeFailed. Cancelling it closes."""
        connection = self._take() or await self._connect()
        self._busy.add(connection)
        self._quiet.clear()
        response = None
        try:
            response = await connection.ask(request)
        finally:
            self._busy.discard(connection)
            if not self._busy:
                self._quiet.set()
            # Without an answer, one may still come: nobody else must get it.
            self._put_back(connection, is_reusable=response is not None)
        return response

    async def drained(self, within_s: float) -> None:
        """Return when no request is under way, or after `within_s`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._quiet.wait()

    def close(self) -> None:
        """Close every connection; requests under way fail."""
        self._closed = True
        for connection in (*self._idle, *self._busy):
            connection.abort()
        self._idle.clear()

    def _take(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.usable:
                return connection
        return None

    def _put_back(self, connection: Connection, *, is_reusable: bool) -> None:
        is_wanted = len(self._idle) < MAX_IDLE and not self._closed
        if is_reusable and is_wanted and connection.usable:
            self._idle.append(connection)
        else:
            connection.abort()

    async def _connect(self) -> Connection:
        if self._closed:
            raise ExchangeFailed("OPA is being stopped")
        loop = asyncio.get_running_loop()
        try:
            _, connection = await loop.create_unix_connection(
                lambda: Connection(self._max_bytes), self._path
            )
        except OSError as error:
            raise ExchangeFailed(f"OPA does not listen: {error.strerror}") from error
        return connection
