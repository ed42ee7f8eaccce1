"""uvicorn's HTTP/1.1 protocol as the ports need it: give it to uvicorn as `http=GuardedProtocol`.

What uvicorn leaves open is closed here, where the bytes still are bytes:

* Slow clients: a head has to be complete in time, an answer has to be read, a port holds a bounded
  number of connections and lets go of idle ones first.
* Framing: heads are bounded before they are complete, trailers (RFC 9110 section 6.5) are refused
  because uvicorn would append them to the headers, a request behind one that is not answered yet
  is not read, and an offered upgrade (RFC 9110 section 7.8) is ignored with the body kept.
* The guard is told the request target as it was sent: uvicorn keeps only path and query of it, so
  `GET http://other/path` would look like `GET /path`. And no access log is written: that would keep
  the query strings the guard refuses because they hold credentials.

Requests that repeat a head are answered here without all that: see repeats.py.
"""

import asyncio
import logging
import secrets
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import httptools
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from proxy.ingress.problems import Problem
from proxy.ingress.repeats import REPEATS, Repeats
from proxy.ingress.unread import HANG_UP, Unread
from proxy.ingress.wire import whole_answer

log = logging.getLogger(__name__)

TARGET = "detent.target"
DISCARD_S = 1.0
PICKS = 16
_HOP_BY_HOP = frozenset({b"connection", b"http2-settings", b"upgrade"})

MALFORMED = Problem(400, "malformed-request", "The request is not well-formed HTTP.")
TRAILERS = Problem(400, "trailers-refused", "Send the body without trailer fields.")
UNFINISHED = Problem(400, "body-not-moving", "The body has too much framing for its content.")
PIPELINED = Problem(400, "request-pipelined", "Wait for an answer before the next request.")
TARGET_TOO_LONG = Problem(414, "target-too-long", "The request target is too long.")
HEAD_TOO_LARGE = Problem(431, "headers-too-large", "The request has too many or too long headers.")
HEAD_TIMEOUT = Problem(408, "headers-timeout", "The headers came too slowly; send them again.")
CROWDED = Problem(503, "too-many-connections", "The port has too many connections; try again.")


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Bounds of one port's connections.

    `head_timeout_s` runs from the connection, or from the first byte of a later request, to the end
    of the headers. A reader takes at least `stall_bytes` in `stall_timeout_s`, or all there is.
    `head_max_bytes` bounds a head that is not complete, and framing between two bytes of a body.
    """

    connections: int = 1_000
    head_timeout_s: float = 10.0
    stall_timeout_s: float = 30.0
    stall_bytes: int = 32_768
    head_max_bytes: int = 32_768
    target_max_bytes: int = 12_288
    handshake_timeout_s: float = 10.0  # of TLS, before the first head


DEFAULT_LIMITS = ConnectionLimits()


class _Faulty(Exception):
    """Stops the parser; the reason stands in the protocol."""


class GuardedProtocol(HttpToolsProtocol):
    """One connection. Adds to the scope: TARGET, the bytes of the request target, and others' own.

    Those are HANG_UP and REPEATS.
    """

    _unread: Unread

    def __init__(self, *, limits: ConnectionLimits = DEFAULT_LIMITS, **of_uvicorn: Any) -> None:
        super().__init__(**of_uvicorn)
        self.access_log = False
        self.app = cast("Any", partial(self._serve, cast("ASGIApp", self.app)))
        self._limits = limits
        self._head_due: asyncio.TimerHandle | None = None
        self._fault = MALFORMED
        self._in_head = False
        self._offered = False
        self._deaf = False
        self._moved = False
        self._unmoved_bytes = 0
        self._repeats = Repeats(self.loop.time, self._answer_again)

    @property
    def is_spare(self) -> bool:
        """Whether no whole request of this connection waits for its answer."""
        cycle = self.cycle
        idle = cycle is None or cycle.response_complete or cycle.more_body
        return idle and not self._repeats.owes and not self.transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection if there is room, else instead of one that is not in use."""
        super().connection_made(cast("asyncio.Transport", transport))
        limits = self._limits
        self._unread = Unread(self.transport, limits.stall_timeout_s, limits.stall_bytes)
        self._await_head()
        if len(self.connections) > self._limits.connections and not self._make_room():
            self._refuse(CROWDED, linger_s=0)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget every deadline."""
        self._head_came()
        self._repeats.gone()
        self._unread.forget()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse, and bound what comes without getting anywhere."""
        if self._deaf:
            return
        if self._repeats.owes:
            self._repeats.gone()
            self._refuse(PIPELINED)
            return
        begins = self._is_between
        if begins and self._repeats.take(data):
            return
        self._repeats.came(data, begins=begins)
        self._unset_keepalive_if_required()
        self._moved = False
        try:
            self._feed(data)
        except httptools.HttpParserError:
            self._refuse(self._fault)
            return
        self._unmoved_bytes = 0 if self._moved else self._unmoved_bytes + len(data)
        if self._unmoved_bytes > self._limits.head_max_bytes:
            self._refuse(HEAD_TOO_LARGE if self._in_head else UNFINISHED)
        elif self.cycle is None or self.cycle.response_complete:
            self._await_head()

    @property
    def _is_between(self) -> bool:
        """Whether what comes now begins a request, none waits, and an answer can be taken."""
        cycle = self.cycle
        is_done = cycle is None or (cycle.response_complete and not cycle.more_body)
        can_write = not (self.flow.write_paused or self.transport.is_closing())
        return is_done and can_write and not self._in_head

    def _answer_again(self, body: bytes) -> None:
        """Answer a request that repeated the head of another."""
        self.transport.write(whole_answer(self.server_state.default_headers, body))
        self.loop.call_soon(self._unread.wait)

    def _feed(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as paused:
            self._feed(self._head_without_upgrade() + data[paused.args[0] :])

    def _head_without_upgrade(self) -> bytes:
        """Return the head again as if nothing had been offered: the parser skips its body else."""
        last = any(name == b"connection" and b"close" in value for name, value in self.headers)
        fields = [pair for pair in self.headers if pair[0] not in _HOP_BY_HOP]
        fields += [(b"connection", b"close")] if last else []
        line = b"%b %b HTTP/%b" % (
            self.parser.get_method(), self.url, self.parser.get_http_version().encode(),
        )  # fmt: skip
        self.parser = httptools.HttpRequestParser(self)
        self._offered = False
        return b"\r\n".join([line, *(b"%b: %b" % pair for pair in fields), b"", b""])

    def on_message_begin(self) -> None:
        """Begin a head, unless the request before it still waits for its answer."""
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop(PIPELINED)
        self._in_head = self._moved = True
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Take a part of the request target."""
        super().on_url(url)
        if len(self.url) > self._limits.target_max_bytes:
            self._stop(TARGET_TOO_LONG)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take one header; after the head it would be a trailer."""
        if not self._in_head:
            self._stop(TRAILERS)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Hand the request on with its target beside it."""
        self._offered = self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT"
        if self._offered:
            return
        self._in_head = False
        self._moved = True
        self._head_came()
        scope = cast("dict[str, Any]", self.scope)
        scope[TARGET], scope[HANG_UP] = self.url, self._unread.hurry
        scope[REPEATS] = self._repeats.keep
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        self._moved = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request; one with an offered upgrade has only begun."""
        if not self._offered:
            self._moved = True
            super().on_message_complete()

    def pause_writing(self) -> None:
        """Give the reader a while to take what waits for it."""
        super().pause_writing()
        self._unread.wait()

    def resume_writing(self) -> None:
        """Go on; the rest has its own while."""
        super().resume_writing()
        self._unread.wait()

    async def _serve(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application, then see that its answer is taken."""
        try:
            await app(scope, receive, send)
        finally:
            self.loop.call_soon(self._unread.wait)

    def _stop(self, fault: Problem) -> None:
        self._fault = fault
        raise _Faulty

    def _refuse(self, problem: Problem, linger_s: float = DISCARD_S) -> None:
        """Answer with a problem and close; where an answer is under way, close after that one."""
        log.warning("request refused: %s", problem.code)
        self._deaf = True
        self._head_came()
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            cycle.keep_alive = False
            if cycle.response_started or not cycle.more_body:
                return
            cycle.disconnected = True  # it hears that the client has gone, and answers nothing
            cycle.message_event.set()
        self.transport.write(_answer(problem))
        if linger_s and self.transport.can_write_eof():
            # What the client still sends would otherwise reset the connection under our answer.
            self.transport.write_eof()
            self.loop.call_later(linger_s, self.transport.close)
        else:
            self.transport.close()
        self._unread.wait()

    def _make_room(self) -> bool:
        """Drop a connection that is not in use, picked by chance so that a flood drops its own."""
        crowd = cast("tuple[GuardedProtocol, ...]", tuple(self.connections))
        for _ in range(PICKS):
            picked = secrets.choice(crowd)
            if picked is not self and picked.is_spare:
                picked.transport.abort()
                return True
        return False

    def _await_head(self) -> None:
        if self._head_due is None:
            self._head_due = self.loop.call_later(self._limits.head_timeout_s, self._head_is_late)

    def _head_came(self) -> None:
        if self._head_due is not None:
            self._head_due.cancel()
            self._head_due = None

    def _head_is_late(self) -> None:
        self._head_due = None
        if self._in_head:
            self._refuse(HEAD_TIMEOUT)
        else:  # nothing was asked, so nothing is answered
            self.transport.close()


def _answer(problem: Problem) -> bytes:
    """Return a whole response that ends its connection."""
    body = problem.document()
    fields = [
        *problem.headers(),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
        (b"connection", b"close"),
    ]
    head = b"".join(b"%b: %b\r\n" % pair for pair in fields)
    return b"%b%b\r\n%b" % (STATUS_LINE[problem.status], head, body)
