"""All configured servers, and the tools as they define them now."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping

from proxy.errors import UpstreamFailed
from proxy.model.tool import ToolDefinition
from proxy.upstream.base import Upstream

log = logging.getLogger(__name__)

REFRESH_S = 30.0
PAUSE_S = 0.2  # between refreshes, however often servers say that their list changed


class Registry:
    """Starts the servers and keeps their definitions fresh.

    A server that cannot be had has no tools until it can; `changed` is called after every refresh
    that gave another picture.
    """

    def __init__(self, upstreams: Mapping[str, Upstream], refresh_s: float = REFRESH_S) -> None:
        self._upstreams = dict(upstreams)
        self._refresh_s = refresh_s
        self._definitions: dict[tuple[str, str], ToolDefinition] = {}
        self._stale = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.changed: Callable[[], None] = lambda: None

    async def start(self) -> None:
        """Start every server at once; the ones that fail are tried again at every refresh."""
        await asyncio.gather(*(self._start_one(server) for server in self._upstreams.values()))
        await self.refresh()
        self._task = asyncio.create_task(self._keep_fresh())

    async def stop(self) -> None:
        """Stop every server."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await asyncio.gather(*(server.stop() for server in self._upstreams.values()))

    def serve(self, upstreams: Mapping[str, Upstream]) -> None:
        """Take these servers; before the start only."""
        self._upstreams = dict(upstreams)

    def upstream(self, server: str) -> Upstream | None:
        """Return a configured server."""
        return self._upstreams.get(server)

    def definition(self, server: str, tool: str) -> ToolDefinition | None:
        """Return a tool as its server defined it at the last refresh."""
        return self._definitions.get((server, tool))

    def mark_stale(self) -> None:
        """Ask for a refresh soon: a server said that its list changed."""
        self._stale.set()

    async def refresh(self) -> None:
        """Ask every server for its tools now."""
        fresh: dict[tuple[str, str], ToolDefinition] = {}
        for found in await asyncio.gather(*(self._list(name) for name in self._upstreams)):
            fresh |= found
        if fresh != self._definitions:
            self._definitions = fresh
            self.changed()

    async def _list(self, name: str) -> dict[tuple[str, str], ToolDefinition]:
        try:
            definitions = await self._upstreams[name].definitions()
        except UpstreamFailed as failed:
            log.warning("server has no tools now: %s", failed, extra={"server": name})
            return {}
        return {(name, definition.name): definition for definition in definitions}

    async def _start_one(self, server: Upstream) -> None:
        try:
            await server.start()
        except UpstreamFailed as failed:
            log.error("server did not start: %s", failed, extra={"server": server.name})

    async def _keep_fresh(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._refresh_s):
                    await self._stale.wait()
            self._stale.clear()
            await self.refresh()
            await asyncio.sleep(PAUSE_S)
