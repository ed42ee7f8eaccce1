"""All configured servers, and the tools as they define them now."""

import asyncio
import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping

from proxy.errors import UpstreamFailed
from proxy.model.tool import ToolDefinition
from proxy.upstream.base import Upstream

log = logging.getLogger(__name__)

REFRESH_S = 30.0
PAUSE_S = 0.2  # between two lists of a server, however often it says that its list changed


class Registry:
    """Starts the servers and keeps their definitions fresh.

    A server that cannot be had has no tools until it can; `changed` is called after every list that
    gave another picture. A server that says its list changed is asked again, each by itself, so
    that none can hold up another.
    """

    def __init__(self, upstreams: Mapping[str, Upstream], refresh_s: float = REFRESH_S) -> None:
        self._upstreams = dict(upstreams)
        self._refresh_s = refresh_s
        self._definitions: dict[str, dict[str, ToolDefinition]] = {}
        # How often a server said that its list changed, and how much of that a list has answered.
        self._said: Counter[str] = Counter()
        self._answered: Counter[str] = Counter()
        self._listed = asyncio.Condition()
        self._listing: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._asking: dict[str, asyncio.Task[None]] = {}
        self._task: asyncio.Task[None] | None = None
        self.changed: Callable[[], None] = lambda: None

    async def start(self) -> None:
        """Start every server at once; the ones that fail are tried again at every refresh."""
        await asyncio.gather(*(self._start_one(server) for server in self._upstreams.values()))
        await self.refresh()
        self._task = asyncio.create_task(self._keep_fresh())

    async def stop(self) -> None:
        """Stop every server."""
        tasks = [*self._asking.values(), *([self._task] if self._task else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(server.stop() for server in self._upstreams.values()))

    def serve(self, upstreams: Mapping[str, Upstream]) -> None:
        """Take these servers; before the start only."""
        self._upstreams = dict(upstreams)

    def upstream(self, server: str) -> Upstream | None:
        """Return a configured server."""
        return self._upstreams.get(server)

    def definition(self, server: str, tool: str) -> ToolDefinition | None:
        """Return a tool as its server last defined it; what has a problem is no tool."""
        known = self._definitions.get(server, {}).get(tool)
        return None if known is None or known.problem else known

    def listed(self) -> Mapping[str, Collection[ToolDefinition]]:
        """Return by server everything it last listed, what has a problem included."""
        return {server: tuple(tools.values()) for server, tools in self._definitions.items()}

    def mark_stale(self, server: str) -> None:
        """Ask a server for its list again, because it said that it changed."""
        self._said[server] += 1
        if server not in self._asking and server in self._upstreams:
            task = asyncio.get_running_loop().create_task(self._ask_again(server))
            self._asking[server] = task

    def stale(self) -> frozenset[str]:
        """Return the servers whose list has changed since it was last read, by their own word."""
        return frozenset(name for name, said in self._said.items() if said > self._answered[name])

    async def unsettled(self, server: str | None, within_s: float) -> frozenset[str]:
        """Wait until every change told so far, by one server or by all, has been read.

        Return the servers whose list could not be read in that time: what they offer is not known.
        """
        stale = self.stale()
        if not stale:
            return stale
        told = {name: self._said[name] for name in stale if server in (None, name)}

        def unread() -> frozenset[str]:
            return frozenset(name for name, said in told.items() if self._answered[name] < said)

        if told:
            reading = asyncio.ensure_future(self._until(lambda: not unread()))
            try:
                await asyncio.wait((reading,), timeout=within_s)
            finally:
                reading.cancel()
        return unread()

    async def _until(self, condition: Callable[[], bool]) -> None:
        async with self._listed:
            await self._listed.wait_for(condition)

    async def refresh(self) -> None:
        """Ask every server for its tools now."""
        await asyncio.gather(*map(self._list, self._upstreams))

    async def _list(self, name: str) -> None:
        """Read one server's list; one at a time, so that an older one never replaces a newer."""
        async with self._listing[name]:
            said = self._said[name]
            fresh = await self._defined(name)
            is_new = fresh != self._definitions.get(name, {})
            self._definitions[name] = fresh
            self._answered[name] = said
        if is_new:
            self.changed()
        async with self._listed:
            self._listed.notify_all()

    async def _defined(self, name: str) -> dict[str, ToolDefinition]:
        try:
            definitions = await self._upstreams[name].definitions()
        except UpstreamFailed as failed:
            log.warning("server has no tools now: %s", failed, extra={"server": name})
            return {}
        return {definition.name: definition for definition in definitions}

    async def _start_one(self, server: Upstream) -> None:
        try:
            await server.start()
        except UpstreamFailed as failed:
            log.error("server did not start: %s", failed, extra={"server": server.name})

    async def _ask_again(self, name: str) -> None:
        try:
            while name in self.stale():
                await self._list(name)
                await asyncio.sleep(PAUSE_S)
        finally:
            del self._asking[name]

    async def _keep_fresh(self) -> None:
        while True:
            await asyncio.sleep(self._refresh_s)
            await self.refresh()
