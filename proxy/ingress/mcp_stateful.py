"""MCP's handshake era (2025-11-25): `initialize`, then requests under an `Mcp-Session-Id`.

Requests are answered as JSON, or as a stream of events when a server has something to say before.
What servers say outside of calls comes on the session's one GET stream. A GET resumes either kind.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from proxy.errors import BadRequest, DetentError
from proxy.ingress.base import Gate
from proxy.ingress.jsonrpc import (
    CANCELLED,
    INVALID_PARAMS,
    Message,
    RequestId,
    Response,
    dumps,
    error_of,
    error_reply,
    notification_message,
    reply_message,
    result_reply,
    unexpected_response,
)
from proxy.ingress.mcp_aggregate import joined_params
from proxy.ingress.mcp_calls import Exchange, cancelled, no_such_method
from proxy.ingress.mcp_capabilities import server_capabilities
from proxy.ingress.mcp_conversation import Client, HandshakeEnd
from proxy.ingress.mcp_envelope import (
    HANDSHAKE_VERSIONS,
    check_hints,
    checked_level,
    progress_token,
)
from proxy.ingress.mcp_kept import OWN, Cursor, cursor_of
from proxy.ingress.mcp_methods import LOG_LEVEL, Methods
from proxy.ingress.mcp_resumed import ResumableOutlet
from proxy.ingress.mcp_sessions import McpSession, McpSessions, Owner, SessionLimits
from proxy.ingress.streams import EventStream, Outlet, let_go
from proxy.ingress.wire import JSON, accepts, header, respond
from proxy.model.mcp import Era, Notification, RpcReply

EVENTS = "text/event-stream"
RESUMING_SINCE = "2025-11-25"

_UPDATED = "notifications/resources/updated"


class StatefulEra:
    """Serves POST, GET and DELETE of the handshake era."""

    def __init__(self, gate: Gate, server_info: dict[str, str], limits: SessionLimits) -> None:
        self._gate = gate
        self._server_info = server_info
        self._limits = limits
        self._methods = Methods(gate, None)
        self._sessions = McpSessions(limits, self._forget)
        self._forgetting: set[asyncio.Task[None]] = set()

    async def post(self, exchange: Exchange, message: Message | Response) -> None:
        """Answer one message. Raises BadRequest, Refused."""
        if isinstance(message, Message):
            check_hints(exchange.scope, message)
        if isinstance(message, Message) and message.method == "initialize":
            await self._initialize(exchange, message)
            return
        session = self._session(exchange)
        if isinstance(message, Response):
            if not session.questions.answer(message):
                raise unexpected_response()
            await respond(exchange.send, 202, b"", ())
        elif message.id is None:
            _notified(session, message)
            await respond(exchange.send, 202, b"", ())
        else:
            await self._request(exchange, session, message, message.id)

    async def stream(self, exchange: Exchange) -> None:
        """Hold the session's one event stream open. Raises BadRequest, Refused.

        With a Last-Event-ID it takes the place of a broken one, and goes on with the answer of a
        POST when the id is of such a stream.
        """
        session = self._session(exchange)
        if not accepts(exchange.scope, EVENTS):
            raise BadRequest("not-acceptable", "Accept text/event-stream.", 406)
        event_id = header(exchange.scope, b"last-event-id")
        last = cursor_of(event_id or "")
        if last is not None and last.stream != OWN:
            await self._resume(exchange, session, last)
            return
        with (
            self._gate.stream(exchange.caller) as closing,
            let_go(closing, exchange.scope),
            session.stream(resumes=event_id is not None) as replaced,
        ):
            async with self._gate.watch(exchange.server, session.key) as heard:
                events = _events(session, heard, joined=exchange.server is None)
                await EventStream(exchange.receive, exchange.send).run(
                    (closing, session.ended, replaced), events, session.streams.kept.since(last)
                )

    async def _resume(self, exchange: Exchange, session: McpSession, last: Cursor) -> None:
        """Go on with the answer of a POST, to its end. Raises BadRequest, Refused."""
        answer = session.streams.find(last)
        with (
            self._gate.stream(exchange.caller) as closing,
            let_go(closing, exchange.scope),
            answer.read() as replaced,
        ):
            over = asyncio.Event()
            await EventStream(exchange.receive, exchange.send).run(
                (closing, session.ended, replaced, over), answer.events(last, over)
            )

    async def end(self, exchange: Exchange) -> None:
        """End the session; calls in flight go on to their end. Raises BadRequest."""
        self._session(exchange)
        self._sessions.end(header(exchange.scope, b"mcp-session-id") or "")
        await respond(exchange.send, 200, b"", ())

    def _session(self, exchange: Exchange) -> McpSession:
        return self._sessions.find(header(exchange.scope, b"mcp-session-id"), _owner(exchange))

    async def _initialize(self, exchange: Exchange, message: Message) -> None:
        asked = message.params.get("protocolVersion")
        declared = message.params.get("capabilities", {})
        if message.id is None or not isinstance(asked, str) or not isinstance(declared, dict):
            raise BadRequest(
                "invalid-params",
                "initialize names a protocolVersion and capabilities.",
                rpc_code=INVALID_PARAMS,
            )
        offered = self._gate.offered(exchange.server)
        version = asked if asked in HANDSHAKE_VERSIONS else HANDSHAKE_VERSIONS[-1]
        result = {
            "protocolVersion": version,
            "capabilities": server_capabilities(offered, Era.HANDSHAKE),
            "serverInfo": self._server_info,
        }
        session_id = self._sessions.open(_owner(exchange), declared, version)
        reply = result_reply(message.id, dumps(result))
        await respond(exchange.send, 200, reply, (*JSON, (b"mcp-session-id", session_id.encode())))

    async def _request(
        self, exchange: Exchange, session: McpSession, message: Message, request_id: RequestId
    ) -> None:
        """Run a request to its answer; it is cancelled when its client has gone."""
        outlet = _outlet(exchange, session, message.method)
        try:
            with session.request(request_id, self._limits.requests_in_flight):
                work = asyncio.create_task(self._answered(exchange, session, message, outlet))
                session.requests[request_id] = work
                try:
                    is_there = await outlet.until(work)
                finally:
                    await cancelled(work)
        finally:
            self._sessions.settle(session)
        reply = _reply(request_id, work, outlet)
        if is_there:
            await outlet.end(200, reply)
        else:
            outlet.miss(reply)

    async def _answered(
        self, exchange: Exchange, session: McpSession, message: Message, outlet: Outlet
    ) -> RpcReply:
        """Return what answers a request. Raises BadRequest, Refused."""
        if message.method == "ping":
            return RpcReply(result=b"{}")
        level = None
        if message.method == LOG_LEVEL:
            level = checked_level(message.params.get("level"))
        client = Client(
            era=Era.HANDSHAKE,
            session=session.key,
            capabilities=session.capabilities,
            progress_token=progress_token(message),
            log_level=level or session.log_level,
        )

        def conversing(server: str) -> HandshakeEnd:
            called = client.calling(server, joined=exchange.server is None)
            return HandshakeEnd(called, outlet, session.questions)

        try:
            reply = await self._methods.answered(exchange, message, conversing)
        except LookupError:
            raise no_such_method(200) from None
        if level is not None and reply.result is not None:
            session.log_level = level
        return reply

    def _forget(self, key: str) -> None:
        """Let servers close what they keep for a session, in the background."""
        task = asyncio.ensure_future(self._gate.forget(key))
        self._forgetting.add(task)
        task.add_done_callback(self._forgetting.discard)


def _owner(exchange: Exchange) -> Owner:
    principal = exchange.caller.principal
    return (principal.tenant, principal.agent, exchange.server)


def _outlet(exchange: Exchange, session: McpSession, method: str) -> Outlet:
    """Return the way back of a request.

    Streams can be resumed by clients that know of priming events. Such a client gets every list as
    a stream, as servers give it; calls are JSON until there is more to say: a stream costs clients
    a new connection, and some take no large event.
    """
    receive, send = exchange.receive, exchange.send
    streams = accepts(exchange.scope, EVENTS)
    if not streams or session.version < RESUMING_SINCE:
        return Outlet(receive, send, streams=streams)
    always = method.endswith("/list") and EVENTS in (header(exchange.scope, b"accept") or "")
    return ResumableOutlet(receive, send, session.streams, always=always)


def _reply(request_id: RequestId, work: asyncio.Task[RpcReply], outlet: Outlet) -> bytes:
    """Return the response to a request. Raises DetentError where a status can still tell it."""
    if work.cancelled():
        return error_reply(request_id, CANCELLED, "The request was cancelled.")
    try:
        return reply_message(request_id, work.result())
    except DetentError as error:
        if not outlet.has_begun:
            raise
        return error_of(request_id, error, {})


def _notified(session: McpSession, message: Message) -> None:
    """Act on a notification: only a cancellation does anything, and only in its own session."""
    if message.method != "notifications/cancelled":
        return
    request_id: Any = message.params.get("requestId")
    is_id = type(request_id) in (int, str)
    call = session.requests.get(request_id) if is_id else None
    if call is not None:
        call.cancel()


async def _events(
    session: McpSession, heard: AsyncIterator[tuple[str, Notification]], *, joined: bool
) -> AsyncIterator[bytes]:
    """Give what servers say as numbered events; `joined`: through the aggregated endpoint."""
    async for server, said in heard:
        renamed = joined and said.method == _UPDATED
        params = joined_params(server, said.params) if renamed else said.params
        yield session.streams.kept.keep(notification_message(said.method, params))
