"""What servers say outside of calls, for the streams of clients: only what the manifest offers."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack, asynccontextmanager

from proxy.model.call import TOOLS_CALL
from proxy.model.mcp import Notification
from proxy.pipeline.resolve import Resolver
from proxy.upstream.registry import Registry

MAX_WAITING = 256
OPENING_S = 2.0

# A notification is passed on where the manifest has an entry for the method it is about.
_UPDATED = "notifications/resources/updated"
_ABOUT = {
    "notifications/prompts/list_changed": "prompts/list",
    "notifications/resources/list_changed": "resources/list",
    _UPDATED: "resources/subscribe",
    "notifications/tools/list_changed": TOOLS_CALL,
}

_Queue = asyncio.Queue[tuple[str, Notification] | None]


class Watching:
    """Joins the notifications of several servers into one stream for one client's session."""

    def __init__(self, resolver: Resolver, registry: Registry) -> None:
        self._resolver = resolver
        self._registry = registry

    @asynccontextmanager
    async def __call__(
        self, servers: Collection[str], session: str
    ) -> AsyncIterator[AsyncIterator[tuple[str, Notification]]]:
        """Yield an iterator of (server, notification); it ends when every server has ended.

        Who is told that it listens does so: servers are heard by then, as far as they can be in
        `OPENING_S`. Leaving the block closes the streams to them.
        """
        heard: _Queue = asyncio.Queue(MAX_WAITING)
        async with AsyncExitStack() as stack:
            opened = {name: asyncio.Event() for name in servers}
            tasks = [
                asyncio.create_task(self._hear(name, session, heard, opened[name]))
                for name in servers
            ]
            stack.push_async_callback(_stopped, tasks)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(OPENING_S):
                    await asyncio.gather(*(one.wait() for one in opened.values()))
            yield _joined(heard, len(tasks))

    async def forget(self, session: str) -> None:
        """Let every server close what it keeps for a session."""
        names = {name for name, _ in self._resolver.offered(None)}
        known = (self._registry.upstream(name) for name in names)
        await asyncio.gather(*(server.forget(session) for server in known if server))

    async def _hear(self, name: str, session: str, heard: _Queue, opened: asyncio.Event) -> None:
        upstream = self._registry.upstream(name)
        if upstream is None:
            opened.set()
        else:
            async with upstream.watch(session) as notifications:
                opened.set()
                async for notification in notifications:
                    shown = self._shown(name, notification)
                    if shown is not None:
                        await heard.put((name, shown))
        await heard.put(None)

    def _shown(self, name: str, notification: Notification) -> Notification | None:
        """Return a notification as clients may see it: nothing but what its kind needs."""
        about = _ABOUT.get(notification.method)
        if about is None or (name, about) not in self._resolver.offered(name):
            return None
        if notification.method != _UPDATED:
            return Notification(notification.method, b"{}")
        uri = _uri(notification.params)
        if uri is None:
            return None
        return Notification(_UPDATED, json.dumps({"uri": uri}, ensure_ascii=False).encode())


async def _joined(heard: _Queue, streams: int) -> AsyncIterator[tuple[str, Notification]]:
    """Yield what is heard until every stream has ended."""
    while streams:
        found = await heard.get()
        if found is None:
            streams -= 1
        else:
            yield found


async def _stopped(tasks: Collection[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _uri(params: bytes) -> str | None:
    try:
        members = json.loads(params)
    except (ValueError, RecursionError):
        return None
    uri = members.get("uri") if isinstance(members, dict) else None
    return uri if isinstance(uri, str) else None
