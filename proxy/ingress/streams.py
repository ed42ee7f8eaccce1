"""Answers that may become streams of events (HTML 9.2, SSE), and streams that stay open.

Events go out one by one as they come; nothing is collected. A client that does not read for a
while is taken for gone.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from starlette.types import Receive, Scope, Send

from proxy.ingress.wire import JSON, disconnected, hang_up_soon, respond

KEEP_ALIVE_S = 15.0

_HEADERS = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache, no-store, no-transform"),
    (b"x-accel-buffering", b"no"),
    (b"x-content-type-options", b"nosniff"),
]
_COMMENT = b": keep-alive\n\n"


def event(message: bytes, event_id: str = "") -> bytes:
    """Return one JSON-RPC message as an event; a line break in JSON is only white space."""
    identity = b"id: %b\n" % event_id.encode() if event_id else b""
    line = message.replace(b"\n", b" ").replace(b"\r", b" ")
    return b"%bevent: message\ndata: %b\n\n" % (identity, line)


def priming_event(event_id: str) -> bytes:
    """Return the event without data that tells a client where to resume from."""
    return b"id: %b\ndata: \n\n" % event_id.encode()


def retry_event(event_id: str, retry_ms: int) -> bytes:
    """Return the event that tells a client when to come back, before its connection is closed."""
    return b"id: %b\nretry: %d\ndata: \n\n" % (event_id.encode(), retry_ms)


class Outlet:
    """The answer to one POST: JSON, or a stream of events once one goes before the result.

    `streams` says whether the client takes a stream; otherwise there are no events.
    """

    def __init__(
        self, receive: Receive, send: Send, *, streams: bool, keep_alive_s: float = KEEP_ALIVE_S
    ) -> None:
        self._receive = receive
        self._send = send
        self._keep_alive_s = keep_alive_s
        self._open = streams
        self._begun = False
        self._stopped: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sending = asyncio.Lock()

    @property
    def has_begun(self) -> bool:
        """Whether it is a stream already, so that its status is given."""
        return self._begun

    async def event(self, message: bytes) -> bool:
        """Send an event now; return False when the client takes none, or none any more."""
        await self._chunk(event(message), begin=True)
        return self._open

    async def end(
        self, status: int, message: bytes, headers: Iterable[tuple[bytes, bytes]] = JSON
    ) -> None:
        """Send the result and end the answer; `status` and `headers` are those of plain JSON."""
        if self._begun:
            await self._chunk(event(message), begin=False)
            await self._close()
            return
        self._open = False
        async with self._sending:
            await respond(self._send, status, message, headers)

    async def pause(self, retry_s: float) -> None:
        """Let the client go until it comes back for the rest, if it can do so."""

    def miss(self, message: bytes) -> None:
        """Take the result of a client that has gone."""

    async def until(self, *waited: asyncio.Future[Any]) -> bool:
        """Wait until one of these is done; return False when the client has gone before."""
        gone = asyncio.create_task(disconnected(self._receive))
        try:
            while True:
                await _any((*waited, gone, self._stopped), self._keep_alive_s)
                if any(had.done() for had in waited):
                    return True
                if gone.done() or self._stopped.done():
                    return False
                await self._chunk(_COMMENT, begin=False)
        finally:
            gone.cancel()

    async def _chunk(self, chunk: bytes, *, begin: bool) -> None:
        async with self._sending:
            if not self._open or not (begin or self._begun):
                return
            try:
                if not self._begun:
                    await self._send(_start())
                    self._begun = True
                    chunk = self._first() + chunk
                await _write(self._send, chunk, self._keep_alive_s)
            except TimeoutError:
                self._open = False
                self._stop()

    async def _close(self) -> None:
        """End a stream; nothing more goes out here. A client that does not read is left alone."""
        was_open, self._open = self._open, False
        if was_open:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._keep_alive_s), self._sending:
                    await self._send({"type": "http.response.body", "body": b""})

    def _stop(self) -> None:
        """Wait for the client no longer."""
        if not self._stopped.done():
            self._stopped.set_result(None)

    def _first(self) -> bytes:
        """Return what a stream begins with."""
        return b""


class EventStream:
    """A stream that stays open while the client and the kill switch let it."""

    def __init__(self, receive: Receive, send: Send, keep_alive_s: float = KEEP_ALIVE_S) -> None:
        self._receive = receive
        self._send = send
        self._keep_alive_s = keep_alive_s

    async def run(
        self,
        closing: Iterable[asyncio.Event],
        events: AsyncIterator[bytes],
        first: bytes = _COMMENT,
        last: Callable[[], bytes] = bytes,
    ) -> None:
        """Send `first`, then each of `events`, and comments when there is nothing to say.

        Ends when one of `closing` is set, then with `last`; when the client has gone; or when it
        does not read. Events that have ended leave the stream open.
        """
        closings = [asyncio.create_task(waited.wait()) for waited in closing]
        going = [asyncio.create_task(disconnected(self._receive))]
        await self._send(_start())
        try:
            await self._write(first)
            await self._pass_on(events, (*closings, *going))
            if not any(task.done() for task in going):
                await self._write(last())
        except TimeoutError:
            return
        finally:
            await _stopped((*closings, *going))
        await self._send({"type": "http.response.body", "body": b""})

    async def _pass_on(
        self, events: AsyncIterator[bytes], ends: tuple[asyncio.Task[object], ...]
    ) -> None:
        """Send events until one of `ends` is done. Raises TimeoutError."""
        coming = asyncio.create_task(_next(events))
        try:
            while True:
                waited = ends if _is_over(coming) else (*ends, coming)
                heard = await _any(waited, self._keep_alive_s)
                if any(task.done() for task in ends):
                    return
                if not heard:
                    await self._write(_COMMENT)
                elif (chunk := coming.result()) is not None:
                    await self._write(chunk)
                    coming = asyncio.create_task(_next(events))
        finally:
            await _stopped((coming,))

    async def _write(self, chunk: bytes) -> None:
        if chunk:
            await _write(self._send, chunk, self._keep_alive_s)


@contextmanager
def let_go(closing: asyncio.Event, scope: Scope) -> Iterator[None]:
    """See that a connection ends with its stream, also when its client reads nothing."""
    waiting = asyncio.create_task(closing.wait())
    waiting.add_done_callback(lambda done: None if done.cancelled() else hang_up_soon(scope))
    try:
        yield
    finally:
        waiting.cancel()


def _start() -> dict[str, object]:
    return {"type": "http.response.start", "status": 200, "headers": _HEADERS}


def _is_over(coming: asyncio.Task[bytes | None]) -> bool:
    return coming.done() and coming.result() is None


async def _next(events: AsyncIterator[bytes]) -> bytes | None:
    return await anext(events, None)


async def _any(waited: Collection[asyncio.Future[Any]], timeout_s: float) -> bool:
    """Return whether one of these is done in time: asyncio.wait at half its price."""
    loop = asyncio.get_running_loop()
    woken: asyncio.Future[None] = loop.create_future()

    def wake(_: object = None) -> None:
        if not woken.done():
            woken.set_result(None)

    timer = loop.call_later(timeout_s, wake)
    for one in waited:
        one.add_done_callback(wake)
    try:
        await woken
    finally:
        timer.cancel()
        for one in waited:
            one.remove_done_callback(wake)
    return any(one.done() for one in waited)


async def _stopped(tasks: Iterable[asyncio.Task[object]]) -> None:
    given = tuple(tasks)
    for task in given:
        task.cancel()
    await asyncio.gather(*given, return_exceptions=True)


async def _write(send: Send, chunk: bytes, timeout_s: float) -> None:
    async with asyncio.timeout(timeout_s):
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
