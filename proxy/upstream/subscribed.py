"""What a stateless server says outside of calls: one stream for all.

MCP 2026-07-28, subscriptions.

The stream carries every changed list and the updates of every resource somebody subscribed to; who
gets to hear what is decided here, not there.
"""

import asyncio
import itertools
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial

from proxy.egress.client import EgressStream
from proxy.model.mcp import Era
from proxy.upstream.exchange import Question, Session
from proxy.upstream.jsonrpc import Message, dumps
from proxy.upstream.listening import Listening
from proxy.upstream.mcp_wire import STATELESS, params
from proxy.upstream.streamable import Endpoint
from proxy.upstream.subscriptions import Subscriptions

ACKNOWLEDGED_S = 2.0
LISTEN = "subscriptions/listen"
ACKNOWLEDGED = "notifications/subscriptions/acknowledged"
_LISTS = {"toolsListChanged": True, "promptsListChanged": True, "resourcesListChanged": True}


def listen_params(uris: frozenset[str]) -> bytes:
    """Return the params of subscriptions/listen for all lists and these resources."""
    wanted = {**_LISTS, "resourceSubscriptions": sorted(uris)} if uris else _LISTS
    return params(Era.STATELESS, b'"notifications":' + dumps(wanted))


class Subscribed:
    """The stream of one server. `hear` takes what comes on it."""

    def __init__(
        self,
        endpoint: Endpoint,
        numbers: "itertools.count[int]",
        wanted: Subscriptions,
        hear: Callable[[Message], object],
    ) -> None:
        self._endpoint = endpoint
        self._numbers = numbers
        self._wanted = wanted
        self._hear = hear
        self._turn = asyncio.Lock()
        self._uris: frozenset[str] | None = None
        self._task: asyncio.Task[None] | None = None

    async def renew(self) -> None:
        """Have a stream for what is wanted now; wait until the server has acknowledged it.

        The stream before ends only then, so that nothing is missed. A server that does not answer
        is waited for `ACKNOWLEDGED_S` seconds.
        """
        async with self._turn:
            uris = self._wanted.uris()
            if uris == self._uris and self._task is not None and not self._task.done():
                return
            before, acknowledged = self._task, asyncio.Event()
            self._uris = uris
            self._task = asyncio.create_task(self._listen(uris, acknowledged))
            try:
                async with asyncio.timeout(ACKNOWLEDGED_S):
                    await acknowledged.wait()
            except TimeoutError:
                pass
            finally:
                if before is not None:
                    before.cancel()

    def stop(self) -> None:
        """End the stream."""
        if self._task is not None:
            self._task.cancel()

    async def _listen(self, uris: frozenset[str], acknowledged: asyncio.Event) -> None:
        hear = partial(self._heard, acknowledged)
        open_stream = partial(self._open, uris)
        try:
            await Listening(self._endpoint.name, open_stream, hear, in_session=False).run()
        finally:
            acknowledged.set()

    def _open(self, uris: frozenset[str], _: str) -> AbstractAsyncContextManager[EgressStream]:
        asked = Question(next(self._numbers), LISTEN, listen_params(uris))
        return self._endpoint.subscribe(Session(STATELESS), asked)

    async def _heard(self, acknowledged: asyncio.Event, message: Message) -> None:
        if message.method == ACKNOWLEDGED:
            acknowledged.set()
        elif message.method is not None:
            self._hear(message)
