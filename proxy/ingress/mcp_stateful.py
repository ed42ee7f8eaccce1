"""MCP's handshake era (2025-11-25): `initialize`, then requests under an `Mcp-Session-Id`.

Requests are answered as JSON, or as a stream of events when a server has something to say before.
What servers say outside of calls comes on the session's one GET stream, which can be resumed.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from proxy.errors import BadRequest
from proxy.ingress.base import Gate
from proxy.ingress.jsonrpc import (
    CANCELLED,
    INVALID_PARAMS,
    Message,
    RequestId,
    Response,
    dumps,
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
from proxy.ingress.mcp_methods import LOG_LEVEL, Methods
from proxy.ingress.mcp_sessions import McpSession, McpSessions, Owner, SessionLimits
from proxy.ingress.streams import EventStream, Outlet
from proxy.ingress.wire import JSON, accepts, header, respond
from proxy.model.mcp import Era, Notification, RpcReply

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

        With a Last-Event-ID it takes the place of a broken one.
        """
        session = self._session(exchange)
        if not accepts(exchange.scope, "text/event-stream"):
            raise BadRequest("not-acceptable", "Accept text/event-stream.", 406)
        last = header(exchange.scope, b"last-event-id")
        with (
            self._gate.stream(exchange.caller) as closing,
            session.stream(resumes=last is not None) as replaced,
        ):
            async with self._gate.watch(exchange.server, session.key) as heard:
                events = _events(session, heard, joined=exchange.server is None)
                await EventStream(exchange.receive, exchange.send).run(
                    (closing, session.ended, replaced), events, session.kept.since(last)
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
        result = {
            "protocolVersion": asked if asked in HANDSHAKE_VERSIONS else HANDSHAKE_VERSIONS[-1],
            "capabilities": server_capabilities(offered, Era.HANDSHAKE),
            "serverInfo": self._server_info,
        }
        session_id = self._sessions.open(_owner(exchange), declared)
        reply = result_reply(message.id, dumps(result))
        await respond(exchange.send, 200, reply, (*JSON, (b"mcp-session-id", session_id.encode())))

    async def _request(
        self, exchange: Exchange, session: McpSession, message: Message, request_id: RequestId
    ) -> None:
        """Run a request to its answer; a client that has gone can never be answered: cancelled."""
        streams = accepts(exchange.scope, "text/event-stream")
        outlet = Outlet(exchange.receive, exchange.send, streams=streams)
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
        if work.cancelled():
            reply = error_reply(request_id, CANCELLED, "The request was cancelled.")
        else:
            reply = reply_message(request_id, work.result())
        if is_there:
            await outlet.end(200, reply)

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
        yield session.kept.keep(notification_message(said.method, params))
