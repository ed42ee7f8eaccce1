"""Answers that a client can come back for (MCP 2025-11-25, transports, resumability).

A client that hangs up cancels its call, as nobody can tell that it will be back; how the call ended
is kept for a while all the same. A call goes on without its client only where we closed the
connection ourselves, because its server did the same to make its client poll, and only for as long
as the client may be expected back.
"""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from starlette.types import Receive, Send

from proxy.errors import BadRequest
from proxy.ingress.mcp_kept import Cursor, Kept
from proxy.ingress.streams import Outlet, priming_event, retry_event
from proxy.ingress.wire import JSON

KEPT_S = 60.0
MAX_ANSWERS = 256
MIN_RETRY_S = 0.05
MAX_RETRY_S = 10.0


class Resumables:
    """The streams of one session: its own, and those of answers.

    `kept_s` is how long an answer is kept, and how long a client may stay away from one.
    """

    def __init__(self, kept_s: float = KEPT_S) -> None:
        self.kept = Kept()
        self.kept_s = kept_s
        self.ended = asyncio.Event()
        self._answers: dict[int, AnswerStream] = {}
        self._numbers = itertools.count(1)
        self._sweeping: asyncio.TimerHandle | None = None

    def open(self, leave: Callable[[], None]) -> "AnswerStream":
        """Return the stream of another answer; the oldest ended one makes room for it.

        `leave` is called when a client reads it elsewhere than where it began.
        """
        if len(self._answers) >= MAX_ANSWERS:
            over = (number for number, had in self._answers.items() if had.over_s is not None)
            self._drop(next(over, min(self._answers)))
        stream = AnswerStream(self, self.kept.here(next(self._numbers)), leave)
        self._answers[stream.start.stream] = stream
        return stream

    def find(self, last: Cursor) -> "AnswerStream":
        """Return the answer a place is in.

        Raises BadRequest when nothing of it is kept: no 404, which would say the session is over.
        """
        stream = self._answers.get(last.stream)
        if stream is None:
            raise BadRequest("stream-not-kept", "Nothing is kept of that stream any more.")
        return stream

    def sweep_later(self) -> None:
        """Let go of ended answers after a while."""
        if self._sweeping is None:
            self._sweeping = asyncio.get_running_loop().call_later(self.kept_s, self._sweep)

    def _sweep(self) -> None:
        latest_s = time.monotonic() - self.kept_s
        over = [(number, had.over_s) for number, had in self._answers.items() if had.over_s]
        stale = [number for number, over_s in over if over_s <= latest_s]
        for number in stale:
            self._drop(number)
        self._sweeping = None
        if len(stale) < len(over):
            self.sweep_later()

    def _drop(self, number: int) -> None:
        self._answers.pop(number, None)
        self.kept.forget(number)


class AnswerStream:
    """One answer over however many connections. `over_s` is when its result was kept."""

    def __init__(self, streams: Resumables, start: Cursor, leave: Callable[[], None]) -> None:
        self.start = start
        self.over_s: float | None = None
        self._streams = streams
        self._leave = leave
        self._news = asyncio.Event()
        self._reader: asyncio.Event | None = None
        self._missed: asyncio.Future[None] | None = None
        self._clock: asyncio.TimerHandle | None = None

    @property
    def here(self) -> Cursor:
        """The place after everything so far."""
        return self._streams.kept.here(self.start.stream)

    def keep(self, message: bytes) -> bytes:
        """Return a message as the event that goes out."""
        shown = self._streams.kept.keep(message, self.start.stream)
        self._tell()
        return shown

    def end(self, result: bytes, *, is_unread: bool) -> bytes:
        """Return the result as the last event."""
        shown = self._streams.kept.keep(result, self.start.stream, whole=is_unread)
        self.over_s = time.monotonic()
        self._tell()
        self._streams.sweep_later()
        return shown

    async def away(self, *waited: asyncio.Future[Any]) -> bool:
        """Wait for one of these; return False when the client stays away too long.

        Or when its session has ended: then it cannot come back.
        """
        self._missed = asyncio.get_running_loop().create_future()
        self._expect()
        ended = asyncio.create_task(self._streams.ended.wait())
        try:
            ends = (*waited, self._missed, ended)
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ended.cancel()
            self._missed = None
            self._expect()
        return any(had.done() for had in waited)

    @contextmanager
    def read(self) -> Iterator[asyncio.Event]:
        """Register the one connection that goes on with it, wherever it was read before.

        Yields what closes this one when another takes its place.
        """
        self._leave()
        if self._reader is not None:
            self._reader.set()
        own = self._reader = asyncio.Event()
        self._expect()
        try:
            yield own
        finally:
            if self._reader is own:
                self._reader = None
                self._expect()

    async def events(self, last: Cursor, over: asyncio.Event) -> AsyncIterator[bytes]:
        """Give what came after that place and what still comes; set `over` after the result."""
        while True:
            news = self._news
            for at, shown in self._streams.kept.after(last):
                last = at
                yield shown
            if self.over_s is not None:
                over.set()
                return
            await news.wait()

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    def _expect(self) -> None:
        """Start the clock while a call waits for a client that is not there; else stop it."""
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None
        if self._missed is not None and self._reader is None:
            loop = asyncio.get_running_loop()
            self._clock = loop.call_later(self._streams.kept_s, self._missed.set_result, None)


class ResumableOutlet(Outlet):
    """The answer to one POST, whose stream may go on in later GETs.

    `always` makes it a stream even when nothing goes before the result.
    """

    def __init__(
        self, receive: Receive, send: Send, streams: Resumables, *, always: bool = False
    ) -> None:
        super().__init__(receive, send, streams=True)
        self._streams = streams
        self._always = always
        self._stream: AnswerStream | None = None
        self._is_left = False

    async def event(self, message: bytes) -> bool:
        """Send an event now, or keep it for a client that was sent away."""
        shown = self._opened().keep(message)
        if not self._is_left:
            await self._chunk(shown, begin=True)
        return self._open or self._is_left

    async def pause(self, retry_s: float) -> None:
        """Close the connection, the client comes back for the rest; the call goes on."""
        if self._is_left or not self._open:
            return
        stream = self._opened()
        retry_ms = round(1000 * max(MIN_RETRY_S, min(retry_s, MAX_RETRY_S)))
        await self._chunk(retry_event(str(stream.here), retry_ms), begin=True)
        if self._open:
            self._leave()

    async def until(self, *waited: asyncio.Future[Any]) -> bool:
        """Wait until one of these is done; return False when the client has gone for good."""
        if await super().until(*waited):
            return True
        if self._stream is None or not self._is_left:
            return False
        await self._close()
        return await self._stream.away(*waited)

    async def end(
        self, status: int, message: bytes, headers: Iterable[tuple[bytes, bytes]] = JSON
    ) -> None:
        """Send the result and end the answer; what was a stream can be asked for again."""
        if self._is_left:
            await self._close()
            self.miss(message)
        elif self._always or self._stream is not None:
            await self._chunk(self._opened().end(message, is_unread=False), begin=True)
            await self._close()
        else:
            await super().end(status, message, headers)

    def miss(self, message: bytes) -> None:
        """Keep the result of a client that has gone, if it has an id to come back with."""
        if self._stream is not None:
            self._stream.end(message, is_unread=True)

    def _opened(self) -> AnswerStream:
        if self._stream is None:
            self._stream = self._streams.open(self._leave)
        return self._stream

    def _leave(self) -> None:
        """Say that the rest is read elsewhere."""
        self._is_left = True
        self._stop()

    def _first(self) -> bytes:
        return priming_event(str(self._opened().start))
