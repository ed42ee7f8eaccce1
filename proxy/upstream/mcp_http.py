"""MCP servers over streamable HTTP, in both eras."""

import asyncio
import itertools
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

from proxy.egress.client import EgressClient
from proxy.errors import OutcomeUnknown, UpstreamFailed
from proxy.model.mcp import Era, Notification
from proxy.model.tool import Effect, ToolDefinition
from proxy.upstream.base import UpstreamCall, UpstreamResult
from proxy.upstream.channel import Channel
from proxy.upstream.channels import Channels
from proxy.upstream.clock import Clock
from proxy.upstream.exchange import Question, ServerError, Session, SessionOver
from proxy.upstream.http_calls import HttpCalls
from proxy.upstream.jsonrpc import Message
from proxy.upstream.kept import Kept
from proxy.upstream.leaving import Leaving, in_time
from proxy.upstream.mcp_wire import STATELESS, list_tools
from proxy.upstream.mirrored import Marks, marks_of
from proxy.upstream.opening import Eras, OtherEra, era_for, find_stateless, open_session
from proxy.upstream.streamable import Endpoint
from proxy.upstream.subscribed import Subscribed
from proxy.upstream.subscriptions import Subscriptions, spread
from proxy.upstream.watchers import Watchers

AGAIN_S = 1.0
SELDOM_S = 30.0
OPENED_S = 2.0
OWN = ""  # the gateway's own session: for definitions, with no capabilities
log = logging.getLogger(__name__)


class McpHttp:
    """One MCP server at the client's base URL.

    `client` is this server's own and is closed by `stop`. `headers` go with every request, a
    lease's with what belongs to its call only. Of the `eras` the server speaks the first gives the
    definitions; a call goes in its client's own where it can. `on_changed` is called when the
    server says that its list of tools changed.
    """

    kind = "mcp"

    def __init__(
        self,
        name: str,
        client: EgressClient,
        headers: Mapping[str, str] | None = None,
        on_changed: Callable[[], None] = lambda: None,
        eras: Sequence[Era] = (Era.HANDSHAKE, Era.STATELESS),
    ) -> None:
        self.name = name
        self._endpoint = Endpoint(name, client, headers or {})
        self._on_changed = on_changed
        self._numbers = itertools.count(1)
        self._watchers = Watchers()
        self._wanted = Subscriptions()
        self._channels = Channels(self._open_channel)
        self._subscribed = Subscribed(self._endpoint, self._numbers, self._wanted, self._heard)
        self._kept = Kept(self._wanted, self._subscribed.renew)
        self._calls = HttpCalls(
            self._endpoint, self._numbers, self._marked, self._heard, self._relearn
        )
        probes = {Era.HANDSHAKE: self._shake_hands, Era.STATELESS: self._discover}
        self._eras = Eras({era: probes[era] for era in eras})
        self._marks: dict[str, Marks] = {}
        self._attending: asyncio.Task[None] | None = None
        self._turned = asyncio.Event()

    async def start(self) -> None:
        """Find out what it speaks. Raises UpstreamFailed; later calls try again."""
        await self._known()

    async def stop(self) -> None:
        """End every session and close every connection."""
        self._eras.stop()
        if self._attending is not None:
            self._attending.cancel()
            await asyncio.wait({self._attending})
        self._subscribed.stop()
        self._channels.close()
        await self._endpoint.close()

    async def definitions(self) -> tuple[ToolDefinition, ...]:
        """Return its tools. Raises UpstreamFailed."""
        try:
            return await self._listed()
        except SessionOver:  # a list has no effect, so it may be asked for again
            return await self._listed()

    async def call(self, call: UpstreamCall, sending: Callable[[], None]) -> UpstreamResult:
        """Make one call. See Upstream.call.

        A session the server no longer knows is UpstreamFailed, and the next call opens a new one.
        """
        leaving = Leaving(sending)
        try:
            return await in_time(call.timeout_s, leaving, partial(self._called, call, leaving))
        except ServerError as failed:
            if call.manifest.effect is Effect.READ:
                raise UpstreamFailed(str(failed)) from failed
            raise

    @asynccontextmanager
    async def watch(self, session: str) -> AsyncIterator[AsyncIterator[Notification]]:
        """Hear what it says outside of calls to one client's session. See Upstream.watch.

        What it says from then on is heard; a server that does not open its stream in `OPENED_S`
        seconds, or has none, is not waited for.
        """
        try:
            async with self._watchers.watch(session) as heard:
                opened = asyncio.Event()
                attending = asyncio.create_task(self._attend(session, opened))
                try:
                    with suppress(TimeoutError):
                        async with asyncio.timeout(OPENED_S):
                            await opened.wait()
                    yield heard
                finally:
                    attending.cancel()
                    await asyncio.wait({attending})
        finally:
            for channel in self._channels.of(session):
                if session not in self._watchers and not channel.can_answer:
                    channel.hush()

    async def forget(self, session: str) -> None:
        """Close what is kept for a client's session that has ended."""
        self._channels.forget(session)
        if self._wanted.forget(session):
            await self._subscribed.renew()

    async def _called(self, call: UpstreamCall, leaving: Leaving, clock: Clock) -> UpstreamResult:
        client = call.conversation
        if era_for(client.era, await self._known()) is Era.STATELESS:
            kept = await self._kept(call, leaving)
            return kept or await self._calls.stateless(call, leaving, clock)
        async with self._channels.use(client.session, client.capabilities) as channel:
            await channel.listened()
            return await self._calls.in_channel(call, channel, leaving, clock)

    async def _known(self) -> tuple[Era, ...]:
        """Return what the server speaks, and begin to listen to it."""
        known = await self._eras.known()
        if self._attending is None:
            self._attending = asyncio.create_task(self._attend(OWN, asyncio.Event()))
        return known

    async def _attend(self, session: str, opened: asyncio.Event) -> None:
        """Keep hearing what the server says outside of calls, for one session.

        `opened` is set once it is heard, or cannot be.
        """
        pause_s = AGAIN_S
        while True:
            try:
                await self._listen(session, opened)
                pause_s = AGAIN_S
            except UpstreamFailed as failed:
                log.info("server is not listened to: %s", failed, extra={"server": self.name})
                opened.set()
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, SELDOM_S)

    async def _listen(self, session: str, opened: asyncio.Event) -> None:
        """Listen for one session until the server is another one. Raises UpstreamFailed."""
        if Era.STATELESS in await self._known():
            turned = self._turned
            await self._subscribed.renew()
            for channel in self._channels.of(session) if session != OWN else ():
                channel.listen()
                await channel.listened()
            opened.set()
            await turned.wait()
        else:
            async with self._channels.use(session, {}) as channel:
                channel.listen()
                await channel.listened()
                opened.set()
                await channel.gone.wait()

    async def _listed(self) -> tuple[ToolDefinition, ...]:
        known = await self._known()
        try:
            if known[0] is Era.STATELESS:
                page = partial(self._page, Session(STATELESS))
                found = await list_tools(self.name, Era.STATELESS, page)
            else:
                async with self._channels.use(OWN, {}) as channel:
                    found = await self._listed_in(channel)
        except OutcomeUnknown as silent:
            raise UpstreamFailed(f"it does not list its tools: {silent}") from silent
        marks = {one.name: marks_of(one.input_schema) for one in found}
        self._marks = {name: one for name, one in marks.items() if one is not None}
        wrong = marks.keys() - self._marks.keys() if Era.STATELESS in known else frozenset()
        for name in wrong:
            log.warning("%s: %s marks its arguments wrongly and was left out", self.name, name)
        return tuple(one for one in found if one.name not in wrong)

    async def _listed_in(self, channel: Channel) -> tuple[ToolDefinition, ...]:
        try:
            page = partial(self._page, channel.session)
            return await list_tools(self.name, Era.HANDSHAKE, page)
        except SessionOver:
            channel.lose()
            raise

    async def _page(self, session: Session, method: str, params: bytes) -> Message:
        asked = Question(next(self._numbers), method, params)
        answer, _ = await self._endpoint.ask(session, asked)
        return answer

    async def _marked(self, tool: str) -> Marks:
        """Return the marked arguments of a tool, which its definition names."""
        if tool not in self._marks:
            await self.definitions()
        return self._marks.get(tool, ())

    async def _shake_hands(self) -> None:
        async with self._channels.use(OWN, {}):
            pass

    async def _discover(self) -> None:
        await find_stateless(self._endpoint, self._numbers)

    def _relearn(self) -> None:
        """Forget what is known of the server: it is not what it was."""
        self._marks.clear()
        self._eras.forget()
        self._turned.set()
        self._turned = asyncio.Event()

    async def _open_channel(self, owner: str, capabilities: Mapping[str, Any]) -> Channel:
        """Open a session, and listen in it where somebody may have to hear."""
        try:
            session = await open_session(self._endpoint, self._numbers, capabilities)
        except OtherEra:
            self._relearn()
            raise
        hear, can_answer = self._heard_in_session, bool(capabilities)
        channel = Channel(owner, session, self._endpoint, hear, can_answer=can_answer)
        if can_answer or owner in self._watchers:
            channel.listen()
        return channel

    def _heard_in_session(self, owner: str, message: Message) -> bool:
        self._changed(message)
        notification = Notification(message.method or "", message.raw)
        return self._watchers.tell(owner, notification)

    def _heard(self, message: Message) -> bool:
        self._changed(message)
        spread(message, self._watchers, self._wanted)
        return True

    def _changed(self, message: Message) -> None:
        if message.method == "notifications/tools/list_changed":
            self._on_changed()
