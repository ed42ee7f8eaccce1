"""MCP's handshake era (2025-11-25): `initialize`, then requests under an `Mcp-Session-Id`.

The id says nothing of authority: every request carries its own token, and an id is only good for
the principal and the endpoint it was issued to.
"""

import asyncio
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

from proxy.errors import BadRequest
from proxy.ingress.base import Gate
from proxy.ingress.jsonrpc import (
    CANCELLED,
    INVALID_PARAMS,
    METHOD_NOT_FOUND,
    Message,
    RequestId,
    dumps,
    error_reply,
    result_reply,
)
from proxy.ingress.mcp_calls import Exchange, cancelled, list_tools, start_call
from proxy.ingress.mcp_envelope import HANDSHAKE_VERSIONS
from proxy.ingress.mcp_results import call_reply
from proxy.ingress.streams import idle_stream
from proxy.ingress.wire import JSON, accepts, header, respond
from proxy.model.step import Answer

_Owner = tuple[str, str, str | None]


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """How many MCP sessions there may be, and how long an unused one is kept."""

    per_principal: int = 64
    total: int = 4_096
    idle_s: float = 3_600.0
    requests_in_flight: int = 64


@dataclass(slots=True)
class McpSession:
    """One handshake: whose it is, its requests in flight, and whether its stream is open."""

    owner: _Owner
    last_used_s: float
    requests: dict[RequestId, asyncio.Task[Answer] | None] = field(default_factory=dict)
    streaming: bool = False
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def idle(self) -> bool:
        """Whether nothing of it is under way."""
        return not self.requests and not self.streaming

    @contextmanager
    def request(self, request_id: RequestId, cap: int) -> Iterator[None]:
        """Register a request for its duration. Raises BadRequest when its id is in flight."""
        if request_id in self.requests:
            raise BadRequest("id-in-use", "A request with this id is still in flight.")
        if len(self.requests) >= cap:
            raise BadRequest("too-many-requests", "Wait for an answer first.", 429)
        self.requests[request_id] = None
        try:
            yield
        finally:
            del self.requests[request_id]


class McpSessions:
    """The sessions of this process, oldest use first."""

    def __init__(self, limits: SessionLimits) -> None:
        self._limits = limits
        self._sessions: dict[str, McpSession] = {}

    def open(self, owner: _Owner) -> str:
        """Return the id of a new session, 256 random bits.

        A principal at its cap loses its longest unused session. Raises BadRequest when all are in
        use, or the whole gateway is full.
        """
        self._sweep()
        own = [key for key, had in self._sessions.items() if had.owner[:2] == owner[:2]]
        if len(own) >= self._limits.per_principal:
            unused = next((key for key in own if self._sessions[key].idle), None)
            if unused is None:
                raise BadRequest("too-many-mcp-sessions", "End a session first.", 429)
            self.end(unused)
        if len(self._sessions) >= self._limits.total:
            raise BadRequest("too-many-mcp-sessions", "The gateway is full; try later.", 503)
        session_id = secrets.token_urlsafe(32)
        self._sessions[session_id] = McpSession(owner, time.monotonic())
        return session_id

    def find(self, session_id: str | None, owner: _Owner) -> McpSession:
        """Return the session. Raises BadRequest: 400 without an id, 404 for any not its own."""
        if session_id is None:
            raise BadRequest("missing-session", "Send the Mcp-Session-Id that initialize gave.")
        self._sweep()
        session = self._sessions.get(session_id)
        if session is None or session.owner != owner:
            raise BadRequest("unknown-session", "There is no such session; initialize again.", 404)
        session.last_used_s = time.monotonic()
        self._sessions[session_id] = self._sessions.pop(session_id)
        return session

    def end(self, session_id: str) -> None:
        """Forget a session and close its stream."""
        session = self._sessions.pop(session_id, None)
        if session is not None:
            session.ended.set()

    def _sweep(self) -> None:
        """Forget the sessions nobody used for too long; those used longest ago come first."""
        oldest_s = time.monotonic() - self._limits.idle_s
        unused = takewhile(lambda had: had[1].last_used_s < oldest_s, self._sessions.items())
        stale = [key for key, had in unused if had.idle]
        for key in stale:
            self.end(key)


class StatefulEra:
    """Serves POST, GET and DELETE of the handshake era."""

    def __init__(self, gate: Gate, server_info: dict[str, str], limits: SessionLimits) -> None:
        self._gate = gate
        self._server_info = server_info
        self._limits = limits
        self._sessions = McpSessions(limits)

    async def post(self, exchange: Exchange, message: Message) -> None:
        """Answer one message. Raises BadRequest, Refused."""
        if message.method == "initialize":
            await self._initialize(exchange, message)
            return
        session = self._session(exchange)
        if message.id is None:
            _notified(session, message)
            await respond(exchange.send, 202, b"", ())
            return
        with session.request(message.id, self._limits.requests_in_flight):
            reply = await self._answer(exchange, session, message)
        await respond(exchange.send, 200, reply)

    async def stream(self, exchange: Exchange) -> None:
        """Hold the session's one event stream open. Raises BadRequest, Refused."""
        session = self._session(exchange)
        if not accepts(exchange.scope, "text/event-stream"):
            raise BadRequest("not-acceptable", "Accept text/event-stream.", 406)
        if session.streaming:
            raise BadRequest("stream-open", "The session has its stream open already.", 409)
        with self._gate.stream(exchange.caller) as closing:
            session.streaming = True
            try:
                await idle_stream(exchange.receive, exchange.send, (closing, session.ended))
            finally:
                session.streaming = False

    async def end(self, exchange: Exchange) -> None:
        """End the session; calls in flight go on to their end. Raises BadRequest."""
        self._session(exchange)
        self._sessions.end(header(exchange.scope, b"mcp-session-id") or "")
        await respond(exchange.send, 200, b"", ())

    def _session(self, exchange: Exchange) -> McpSession:
        return self._sessions.find(header(exchange.scope, b"mcp-session-id"), _owner(exchange))

    async def _initialize(self, exchange: Exchange, message: Message) -> None:
        asked = message.params.get("protocolVersion")
        if message.id is None or not isinstance(asked, str):
            raise BadRequest(
                "invalid-params", "initialize names a protocolVersion.", rpc_code=INVALID_PARAMS
            )
        result = {
            "protocolVersion": asked if asked in HANDSHAKE_VERSIONS else HANDSHAKE_VERSIONS[-1],
            "capabilities": {"tools": {}},
            "serverInfo": self._server_info,
        }
        session_id = self._sessions.open(_owner(exchange))
        reply = result_reply(message.id, dumps(result))
        await respond(exchange.send, 200, reply, (*JSON, (b"mcp-session-id", session_id.encode())))

    async def _answer(self, exchange: Exchange, session: McpSession, message: Message) -> bytes:
        if message.method == "ping":
            return result_reply(message.id, b"{}")
        if message.method == "tools/list":
            return await list_tools(self._gate, exchange, message, None)
        if message.method != "tools/call" or message.id is None:
            raise BadRequest("unknown-method", "There is no such method.", 200, METHOD_NOT_FOUND)
        call = start_call(self._gate, exchange, message)
        session.requests[message.id] = call
        try:
            await asyncio.wait({call})
        finally:
            await cancelled(call)
        if call.cancelled():
            return error_reply(message.id, CANCELLED, "The request was cancelled.")
        return call_reply(message.id, call.result(), None)


def _owner(exchange: Exchange) -> _Owner:
    principal = exchange.caller.principal
    return (principal.tenant, principal.agent, exchange.server)


def _notified(session: McpSession, message: Message) -> None:
    """Act on a notification: only a cancellation does anything, and only in its own session."""
    if message.method != "notifications/cancelled":
        return
    request_id: Any = message.params.get("requestId")
    call = session.requests.get(request_id) if isinstance(request_id, int | str) else None
    if call is not None:
        call.cancel()
