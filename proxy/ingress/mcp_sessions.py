"""Sessions of MCP's handshake era (2025-11-25, session management).

The id says nothing of authority: every request carries its own token, and an id is only good for
the principal and the endpoint it was issued to.
"""

import asyncio
import re
import secrets
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

from proxy.errors import BadRequest
from proxy.ingress.jsonrpc import RequestId
from proxy.ingress.mcp_conversation import Questions
from proxy.ingress.streams import event, priming_event
from proxy.model.mcp import RpcReply
from proxy.model.token import new_id

MAX_KEPT_EVENTS = 256
MAX_KEPT_BYTES = 1_048_576
_EVENT_ID = re.compile(r"[0-9]{1,18}")

Owner = tuple[str, str, str | None]


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """How many MCP sessions there may be, and how long an unused one is kept."""

    per_principal: int = 64
    total: int = 4_096
    idle_s: float = 3_600.0
    requests_in_flight: int = 64


class Kept:
    """The last events of a session's stream, so that a broken one can be resumed."""

    def __init__(self) -> None:
        self._last = 0
        self._bytes = 0
        self._events: deque[tuple[int, bytes]] = deque()

    def keep(self, message: bytes) -> bytes:
        """Return a message as the numbered event that goes out; the oldest kept make room."""
        self._last += 1
        shown = event(message, str(self._last))
        self._events.append((self._last, shown))
        self._bytes += len(shown)
        while len(self._events) > MAX_KEPT_EVENTS or self._bytes > MAX_KEPT_BYTES:
            self._bytes -= len(self._events.popleft()[1])
        return shown

    def since(self, last_event_id: str | None) -> bytes:
        """Return how a stream begins: what was sent after that event, and where to resume."""
        missed: Iterable[bytes] = ()
        if last_event_id is not None and _EVENT_ID.fullmatch(last_event_id):
            missed = (sent for number, sent in self._events if number > int(last_event_id))
        return b"".join(missed) + priming_event(str(self._last))


@dataclass(slots=True)
class McpSession:
    """One handshake: whose it is, what its client can do, its requests in flight, its stream.

    `key` is what servers know it by; the id stays between us and the client. `streaming` is set
    while its event stream is open, and closes it.
    """

    owner: Owner
    last_used_s: float
    capabilities: Mapping[str, Any] = field(default_factory=dict)
    key: str = field(default_factory=lambda: new_id("mcp"))
    log_level: str | None = None
    requests: dict[RequestId, asyncio.Task[RpcReply] | None] = field(default_factory=dict)
    questions: Questions = field(default_factory=Questions)
    kept: Kept = field(default_factory=Kept)
    streaming: asyncio.Event | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)

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

    def open(self, owner: Owner, capabilities: Mapping[str, Any]) -> str:
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
        self._sessions[session_id] = McpSession(owner, time.monotonic(), capabilities)
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
