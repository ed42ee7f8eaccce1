"""Who listens to a server outside of calls, and what each of them gets to hear.

A server that floods is bounded (A36): the same notification waits once, few wait at all, and they
are handed out at a steady pace.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self

from proxy.model.mcp import Notification

MAX_WAITING = 256
PACE_S = 0.05
log = logging.getLogger(__name__)


class Watchers:
    """The listeners of one server, by the client's session each speaks for."""

    def __init__(self) -> None:
        self._watchers: dict[str, list[_Watcher]] = {}

    @asynccontextmanager
    async def watch(self, session: str) -> AsyncIterator[AsyncIterator[Notification]]:
        """Yield what is said to one session until the block is left."""
        watcher = _Watcher()
        self._watchers.setdefault(session, []).append(watcher)
        try:
            yield watcher
        finally:
            self._watchers[session].remove(watcher)
            if not self._watchers[session]:
                del self._watchers[session]

    def __contains__(self, session: object) -> bool:
        return session in self._watchers

    def tell(self, session: str, notification: Notification) -> bool:
        """Say something to one session; return whether anybody listens."""
        for watcher in self._watchers.get(session, ()):
            watcher.take(notification)
        return session in self._watchers

    def tell_all(self, notification: Notification) -> None:
        """Say something to every session."""
        for session in self._watchers:
            self.tell(session, notification)


class _Watcher:
    """One listener: an iterator of what comes, each `PACE_S` seconds after the one before."""

    def __init__(self) -> None:
        self._waiting: dict[Notification, None] = {}
        self._news = asyncio.Event()
        self._due_s = 0.0

    def take(self, notification: Notification) -> None:
        """Keep a notification until it is asked for; drop it when too much waits already."""
        if len(self._waiting) >= MAX_WAITING and notification not in self._waiting:
            log.debug("a listener is behind; %s was dropped", notification.method)
            return
        self._waiting[notification] = None
        self._news.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Notification:
        clock = asyncio.get_running_loop()
        await asyncio.sleep(max(0.0, self._due_s - clock.time()))
        await self._news.wait()
        first = next(iter(self._waiting))
        del self._waiting[first]
        if not self._waiting:
            self._news.clear()
        self._due_s = clock.time() + PACE_S
        return first
