"""MCP servers over streamable HTTP, in both eras."""

import asyncio
import itertools
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager

from proxy.egress.client import EgressClient
from proxy.errors import OutcomeUnknown, UpstreamFailed
from proxy.model.mcp import Era, Notification
from proxy.model.tool import Effect, ToolDefinition
from proxy.upstream.base import UpstreamCall, UpstreamResult
from proxy.upstream.headers import outgoing
from proxy.upstream.jsonrpc import Message, RpcError, notification
from proxy.upstream.mcp_wire import (
    Spoken,
    agree,
    call_params,
    cancelled_params,
    list_tools,
    result_of,
)
from proxy.upstream.mirrored import Marks, header_value, marks_of, mirrored
from proxy.upstream.quiet import silence
from proxy.upstream.streamable import (
    Declined,
    Endpoint,
    Question,
    ServerError,
    Session,
    SessionOver,
)

_SESSION_ID = re.compile(r"[\x21-\x7e]{0,1024}")
_NOT_THIS_ERA = frozenset({400, 404, 405, 406, 415, 422})


class McpHttp:
    """One MCP server at the client's base URL.

    `client` is this server's own and is closed by `stop`. `headers` go with every request, a
    lease's with its call only. `eras` is the order in which protocol versions are tried.
    `on_changed` is called when the server says that its list of tools changed.
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
        self._endpoint = Endpoint(name, client, headers or {}, on_changed)
        self._eras = tuple(eras)
        self._numbers = itertools.count(1)
        self._agreeing = asyncio.Lock()
        self._agreed: tuple[Session, Spoken] | None = None
        self._marks: dict[str, Marks] = {}

    async def start(self) -> None:
        """Agree on a version. Raises UpstreamFailed; later calls try again."""
        await self._opened()

    async def stop(self) -> None:
        """End the session and close every connection."""
        agreed, self._agreed = self._agreed, None
        await self._endpoint.close(agreed[0] if agreed else None)

    async def definitions(self) -> tuple[ToolDefinition, ...]:
        """Return its tools. Raises UpstreamFailed."""
        try:
            return await self._listed()
        except SessionOver:  # a list has no effect, so it may be asked for again
            return await self._listed()

    async def _listed(self) -> tuple[ToolDefinition, ...]:
        session, spoken = await self._opened()

        async def page(method: str, params: bytes) -> Message:
            return await self._ask(session, Question(next(self._numbers), method, params))

        try:
            found = await list_tools(self.name, spoken.era, page)
        except OutcomeUnknown as silent:
            raise UpstreamFailed(f"it does not list its tools: {silent}") from silent
        self._marks = {one.name: marks_of(one.input_schema) for one in found}
        return found

    async def call(self, call: UpstreamCall, sending: Callable[[], None]) -> UpstreamResult:
        """Make one call. See Upstream.call.

        A session the server no longer knows is UpstreamFailed, and the next call opens a new one.
        """
        session, spoken, headers = await self._prepared(call)
        leaving = _Leaving(sending)
        asked = Question(
            next(self._numbers),
            "tools/call",
            call_params(spoken.era, call.manifest.tool, call.arguments),
            headers,
            call.timeout_s,
            leaving,
        )
        try:
            return result_of(await self._ask(session, asked))
        except ServerError as failed:
            if call.manifest.effect is Effect.READ:
                raise UpstreamFailed(str(failed)) from failed
            raise
        except (OutcomeUnknown, asyncio.CancelledError):
            if leaving.left and spoken.era is Era.HANDSHAKE:
                self._give_up(session, asked.number)
            raise

    def watch(self, session: str) -> AbstractAsyncContextManager[AsyncIterator[Notification]]:
        """Hear nothing."""
        del session
        return silence()

    async def forget(self, session: str) -> None:
        """Do nothing: no session is kept."""

    async def _prepared(self, call: UpstreamCall) -> tuple[Session, Spoken, dict[str, str]]:
        """Return what a call needs before it can be sent. Raises UpstreamFailed."""
        try:
            async with asyncio.timeout(call.timeout_s):
                session, spoken = await self._opened()
                return session, spoken, outgoing(await self._mirrored(spoken, call), call.headers)
        except TimeoutError as late:
            raise UpstreamFailed("it did not agree on a version in time") from late

    async def _opened(self) -> tuple[Session, Spoken]:
        """Return the session, agreed on once for all who wait. Raises UpstreamFailed."""
        async with self._agreeing:
            if self._agreed is None:
                opening = _Opening(self._endpoint, self._numbers)
                try:
                    spoken = await agree(opening, self._eras)
                except OutcomeUnknown as silent:
                    raise UpstreamFailed(f"it does not agree on a version: {silent}") from silent
                self._agreed = (Session(spoken, opening.session_id), spoken)
            return self._agreed

    async def _ask(self, session: Session, asked: Question) -> Message:
        try:
            answer, _ = await self._endpoint.ask(session, asked)
        except SessionOver:
            if self._agreed is not None and self._agreed[0] is session:
                self._agreed = None
            raise
        return answer

    async def _mirrored(self, spoken: Spoken, call: UpstreamCall) -> dict[str, str]:
        """Return the headers that repeat parts of a stateless call."""
        if spoken.era is not Era.STATELESS:
            return {}
        tool = call.manifest.tool
        if tool not in self._marks:
            await self.definitions()
        marks = self._marks.get(tool, ())
        return {"Mcp-Name": header_value(tool), **mirrored(marks, call.arguments)}

    def _give_up(self, session: Session, number: int) -> None:
        """Say that a call is no longer waited for (a stateless server sees its stream close)."""
        params = cancelled_params(Era.HANDSHAKE, number)
        self._endpoint.tell(session, notification("notifications/cancelled", params))


class _Leaving:
    """Passes `sending` on, and remembers that the call left."""

    def __init__(self, sending: Callable[[], None]) -> None:
        self._sending = sending
        self.left = False

    def __call__(self) -> None:
        self._sending()
        self.left = True


class _Opening:
    """A server while a version is being agreed on with it."""

    def __init__(self, endpoint: Endpoint, numbers: "itertools.count[int]") -> None:
        self._endpoint = endpoint
        self._numbers = numbers
        self.session_id = ""

    async def ask(self, spoken: Spoken | None, method: str, params: bytes, /) -> Message:
        """Ask; a status that may mean the other era counts as an error answer."""
        asked = Question(next(self._numbers), method, params)
        try:
            answer, session_id = await self._endpoint.ask(Session(spoken), asked)
        except Declined as declined:
            if declined.status not in _NOT_THIS_ERA:
                raise
            return Message(asked.number, error=RpcError(declined.status, str(declined)))
        if not _SESSION_ID.fullmatch(session_id):
            raise UpstreamFailed("its session id has characters that do not belong in one")
        self.session_id = session_id
        return answer

    async def tell(self, spoken: Spoken, method: str, /) -> None:
        """Send one notification of the handshake."""
        await self._endpoint.notify(Session(spoken, self.session_id), notification(method))
