"""The point every outgoing request passes right before its first byte, at most once.

aiohttp acquires a connection, then calls `ClientRequest.send`, which by default leaves the writing
to a task of its own. Here `send` asks the gate and writes in one stretch without suspending, so
nothing (a kill above all) can come between the last check and the first byte.
"""

import asyncio
from collections.abc import Callable, Iterable

from aiohttp import ClientConnectionResetError, ClientHandlerType, ClientRequest, ClientResponse
from aiohttp.connector import Connection
from aiohttp.http import StreamWriter

ROUNDS = 10


class Gate:
    """One request on its way out: its body, and the check before its first byte.

    `passed` is true from the moment bytes may have left. A second passage raises, so a client that
    retries by itself cannot send a call twice.
    """

    __slots__ = ("_asked", "_on_send", "body", "passed")

    def __init__(self, body: bytes, on_send: Callable[[], None]) -> None:
        self.body = body
        self.passed = False
        self._asked = False
        self._on_send = on_send

    def open(self) -> None:
        """Ask once whether the request may go; what `on_send` raises ends it with 0 bytes sent."""
        if self._asked:
            raise ClientConnectionResetError("a request is sent at most once")
        self._asked = True
        self._on_send()
        self.passed = True

    async def guard(self, request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        """Put this gate before one request (an aiohttp client middleware)."""
        if not isinstance(request, GatedRequest):
            raise TypeError("the session has to use GatedRequest")
        request.gate = self
        return await handler(request)


class GatedRequest(ClientRequest):
    """A request whose body is bytes in memory, written together with its headers."""

    gate: Gate

    def update_auto_headers(self, skip_auto_headers: Iterable[str] | None) -> None:
        """Add none: the caller gives every header."""

    async def send(self, conn: Connection) -> ClientResponse:
        """Write the request. Raises ClientConnectionResetError with 0 bytes sent when the
        connection is gone or still busy with an earlier request.
        """
        await _flushed(conn)
        protocol, transport = conn.protocol, conn.transport
        if protocol is None or transport is None or transport.is_closing():
            raise ClientConnectionResetError("the connection is gone")
        if transport.get_write_buffer_size():
            raise ClientConnectionResetError("the connection still writes an earlier request")
        writer = StreamWriter(protocol, self.loop)
        line = f"{self.method} {self.url.raw_path_qs} HTTP/1.1"
        await writer.write_headers(line, self.headers)  # into a buffer: no byte leaves here
        self.gate.open()
        # Neither of these suspends: no tracing, no compression, drain=False.
        await writer.write(self.gate.body, drain=False)
        writer.set_eof()
        protocol.start_timeout()
        return self.response_class(
            self.method,
            self.original_url,
            writer=None,
            continue100=None,
            timer=self._timer,
            request_info=self.request_info,
            traces=[],
            loop=self.loop,
            session=self._session,
            stream_writer=writer,
        )


async def _flushed(conn: Connection) -> None:
    """Let leave what only waits for the loop's next rounds: uvloop queues the last bytes of a TLS
    handshake.
    """
    rounds = ROUNDS
    while rounds and conn.transport is not None and conn.transport.get_write_buffer_size():
        await asyncio.sleep(0)
        rounds -= 1
