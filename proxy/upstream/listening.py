"""A stream of what a server says outside of calls, kept open for as long as somebody wants it."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from proxy.egress.client import EgressStream
from proxy.errors import UpstreamError
from proxy.upstream.exchange import (
    Hear,
    Nonsense,
    ServerError,
    SessionOver,
    is_stream,
    message_of,
)
from proxy.upstream.sse import EventParser

MAX_EVENT_BYTES = 1024 * 1024
MAX_PER_S = 200
_OVER = 404
_LATER = frozenset({408, 409, 425, 429})
_SERVER_ERRORS = 500
log = logging.getLogger(__name__)

OpenStream = Callable[[str], AbstractAsyncContextManager[EgressStream]]


@dataclass(frozen=True, slots=True)
class Delays:
    """How long to wait before a broken stream is opened again: twice as long each time.

    What the server asks for (`retry`) counts instead, within `least_s` and `most_s`.
    """

    first_s: float = 1.0
    last_s: float = 30.0
    least_s: float = 0.1
    most_s: float = 3600.0


class Listening:
    """One such stream. `open_stream` opens it behind an event id, `hear` takes its messages.

    `in_session`: the server keeps it for a session of ours, which may be over. `opened` is set once
    the server has answered the first time.
    """

    def __init__(
        self,
        server: str,
        open_stream: OpenStream,
        hear: Hear,
        *,
        in_session: bool,
        delays: Delays | None = None,
    ) -> None:
        self.opened = asyncio.Event()
        self._server = server
        self._open = open_stream
        self._hear = hear
        self._in_session = in_session
        self._delays = delays or Delays()
        self._delay_s = self._delays.first_s
        self._parser = EventParser()
        self._heard = 0
        self._mark_s = 0.0

    async def run(self) -> None:
        """Listen until the server says that it has no such stream. Raises SessionOver."""
        while True:
            try:
                async with self._open(self._parser.last_id) as response:
                    if not self._is_offered(response):
                        return
                    self.opened.set()
                    await self._read(response)
            except SessionOver:
                raise
            except UpstreamError as broken:
                log.info("a stream broke: %s", broken, extra={"server": self._server})
            finally:
                self.opened.set()
            await asyncio.sleep(self._pause_s())

    def _is_offered(self, response: EgressStream) -> bool:
        if is_stream(response):
            return True
        if response.status == _OVER and self._in_session:
            raise SessionOver("its session is over")
        if response.status in _LATER or response.status >= _SERVER_ERRORS:
            raise ServerError(f"it answered with status {response.status}")
        return False

    async def _read(self, response: EgressStream) -> None:
        self._parser = self._parser.anew()
        async for chunk in response.chunks():
            for data in self._parser.feed(chunk):
                if data.strip():
                    await self._take(data)
            if self._parser.waiting_bytes > MAX_EVENT_BYTES:
                raise Nonsense("an event of it does not end")

    async def _take(self, data: bytes) -> None:
        message = message_of(data)
        if message is None:
            raise Nonsense("its stream has what is not a message")
        self._delay_s = self._delays.first_s
        await self._hear(message)
        self._heard += 1
        if self._heard % MAX_PER_S == 0:  # who floods is read slowly (A36)
            now = asyncio.get_running_loop().time()
            due_s = max(now, self._mark_s + 1.0)
            self._mark_s = due_s
            await asyncio.sleep(due_s - now)

    def _pause_s(self) -> float:
        delays, asked_s = self._delays, self._parser.retry_s
        if asked_s is not None:
            return min(max(asked_s, delays.least_s), delays.most_s)
        pause_s = self._delay_s
        self._delay_s = min(2 * pause_s, delays.last_s)
        return pause_s
