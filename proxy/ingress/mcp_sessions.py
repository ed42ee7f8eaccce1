"""Sessions of MCP's handshake era (2025-11-25, session management).

The id says nothing of authority: every request carries its own token, and an id is only good for
the principal and the endpoint it was issued to.
"""

import asyncio
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

from proxy.errors import BadRequest
from proxy.ingress.jsonrpc import RequestId
from proxy.ingress.mcp_conversation import Questions
from proxy.ingress.mcp_resumed import Resumables
from proxy.model.mcp import RpcReply
from proxy.model.token import new_id

Owner = tuple[str, str, str | None]


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """How many MCP sessions there may be, and how long an unused one is kept."""

    per_principal: int = 64
    total: int = 4_096
    idle_s: float = 3_600.0
    requests_in_flight: int = 64


@dataclass(slots=True)
class McpSession:
    """One handshake: whose it is, what its client can do, its requests in flight, its streams.

    `key` is what servers know it by; the id stays between us and the client. `streaming` is set
    while its event stream is open, and closes it.
    """

    owner: Owner
    last_used_s: float
    capabilities: Mapping[str, Any] = field(default_factory=dict)
    version: str = ""
    key: str = field(default_factory=lambda: new_id("mcp"))
    log_level: str | None = None
    requests: dict[RequestId, asyncio.Task[RpcReply] | None] = field(default_factory=dict)
    questions: Questions = field(default_factory=Questions)
    streams: Resumables = field(default_factory=Resumables)
    streaming: asyncio.Event | None = None

    @property
    def ended(self) -> asyncio.Event:
        """Set once nobody can use it any more."""
        return self.streams.ended

    @property
    def idle(self) -> bool:
        """Whether nothing of it is under way."""
        return not self.requests and self.streaming is None

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

    @contextmanager
    def stream(self, *, resumes: bool) -> Iterator[asyncio.Event]:
        """Register the one stream; yields what closes it when another one takes its place.

        Raises BadRequest when one is open already and this one does not resume it.
        """
        if self.streaming is not None and not resumes:
            raise BadRequest("stream-open", "The session has its stream open already.", 409)
        if self.streaming is not None:
            self.streaming.set()
        own = self.streaming = asyncio.Event()
        try:
            yield own
        finally:
            if self.streaming is own:
                self.streaming = None


class McpSessions:
    """The sessions of this process, oldest use first. `on_end` gets the key of one that ends."""

    def __init__(self, limits: SessionLimits, on_end: Callable[[str], None]) -> None:
        self._limits = limits
        self._on_end = on_end
        self._sessions: dict[str, McpSession] = {}

    def open(self, owner: Owner, capabilities: Mapping[str, Any], version: str = "") -> str:
        """Return the id of a new session, 256 random bits; `version` is the one agreed on.

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
        self._sessions[session_id] = McpSession(owner, time.monotonic(), capabilities, version)
        return session_id

    def find(self, session_id: str | None, owner: Owner) -> McpSession:
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
            self.settle(session)

    def settle(self, session: McpSession) -> None:
        """Let go of what servers keep for a session, once it has ended with all its requests."""
        if session.ended.is_set() and not session.requests:
            self._on_end(session.key)

    def _sweep(self) -> None:
        """Forget the sessions nobody used for too long; those used longest ago come first."""
        oldest_s = time.monotonic() - self._limits.idle_s
        unused = takewhile(lambda had: had[1].last_used_s < oldest_s, self._sessions.items())
        stale = [key for key, had in unused if had.idle]
        for key in stale:
            self.end(key)
