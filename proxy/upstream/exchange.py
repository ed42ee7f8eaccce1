"""One request over HTTP, and everything that can come back (MCP, streamable HTTP)."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from proxy.egress.client import EgressStream
from proxy.errors import OutcomeUnknown, UpstreamFailed
from proxy.model.mcp import Era
from proxy.upstream.jsonrpc import Message, parse
from proxy.upstream.mcp_wire import Spoken
from proxy.upstream.sse import EventParser

PATIENCE_S = 10.0

Hear = Callable[[Message], Awaitable[None]]
Pause = Callable[[float], Awaitable[None]]


class Declined(UpstreamFailed):
    """The server did not take the request: a status of 3xx or 4xx and no JSON-RPC error."""

    def __init__(self, status: int) -> None:
        super().__init__(f"it answered with status {status}")
        self.status = status


class SessionOver(UpstreamFailed):
    """The server no longer knows the session; nothing was executed."""


class ServerError(OutcomeUnknown):
    """The server failed over the request: a status of 5xx, or one that answers nothing."""


class StreamLeft(OutcomeUnknown):
    """The server closed the stream before its answer; it may be picked up."""


class Nonsense(OutcomeUnknown):
    """What came back is no answer, and asking for more of it would not make it one."""


@dataclass(frozen=True, slots=True)
class Session:
    """What was agreed with the server, and the session id it gave ("" when it gave none)."""

    spoken: Spoken | None = None
    id: str = ""

    @property
    def is_resumable(self) -> bool:
        """Whether a stream may be picked up again (MCP 2025-11-25, resumability)."""
        return self.spoken is not None and self.spoken.era is Era.HANDSHAKE

    def headers(self, method: str = "") -> dict[str, str]:
        """Return what a request of this session carries beside its own headers.

        Without a method it is one that only listens, or a message that is no request.
        """
        headers = {"Accept": "application/json, text/event-stream"}
        if self.spoken is not None:
            headers["MCP-Protocol-Version"] = self.spoken.version
            if self.spoken.era is Era.STATELESS:
                headers["Mcp-Method"] = method
        if self.id:
            headers["Mcp-Session-Id"] = self.id
        return headers


def freely() -> None:
    """Let a request go that is no call."""


async def unheard(_: Message) -> None:
    """Read over what comes beside the answer."""


async def unmoved(_: float) -> None:
    """Do nothing about a stream that was left."""


@dataclass(frozen=True, slots=True)
class Question:
    """One JSON-RPC request with its params (a JSON object) and headers of its own."""

    number: int
    method: str
    params: bytes
    headers: Mapping[str, str] = field(repr=False, default_factory=dict)
    timeout_s: float = PATIENCE_S
    sending: Callable[[], None] = freely


class Events:
    """The stream that one answer comes in, however often it is picked up again."""

    def __init__(self, number: int, hear: Hear) -> None:
        self.parser = EventParser()
        self.number = number
        self._hear = hear

    async def answer(self, response: EgressStream) -> Message:
        """Return the answer, once everything before it was heard. Raises OutcomeUnknown."""
        if not is_stream(response):
            raise Nonsense("its stream ended without an answer")
        self.parser = self.parser.anew()
        async for chunk in response.chunks():
            for data in self.parser.feed(chunk):
                if not data.strip():
                    continue  # an event that only brings the id to pick the stream up from
                message = message_of(data)
                if message is None:
                    raise Nonsense("its stream has what is not a message")
                if message.is_answer and message.id == self.number:
                    await response.drain()
                    return message
                await self._hear(message)
        raise StreamLeft("its stream ended without an answer")


def is_stream(response: EgressStream) -> bool:
    """Whether an answer is a stream of events."""
    media = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    return response.status == 200 and media == "text/event-stream"  # noqa: PLR2004 as MCP says


def message_of(data: bytes) -> Message | None:
    """Return the message in an event or a body, None when there is none."""
    try:
        return parse(data)
    except ValueError:
        return None


async def answer_in(response: EgressStream, session: Session, events: Events) -> Message:
    """Return the answer a response has. Raises Declined, SessionOver, OutcomeUnknown."""
    if response.status == 404 and session.id:  # noqa: PLR2004 MCP, session management
        raise SessionOver("its session is over; the next call opens a new one")
    if not 200 <= response.status < 300:  # noqa: PLR2004 the class 2xx
        return await _refusal(response, events.number)
    if is_stream(response):
        return await events.answer(response)
    message = message_of(await response.read())
    if message is None or not message.is_answer or message.id != events.number:
        raise Nonsense("its answer is not one to what was asked")
    return message


async def _refusal(response: EgressStream, number: int) -> Message:
    """Return the JSON-RPC error of a 3xx or 4xx, which may come with the id null."""
    if not 300 <= response.status < 500:  # noqa: PLR2004 the classes 3xx and 4xx
        raise ServerError(f"it answered with status {response.status}")
    message = message_of(await response.read())
    if message is None or message.error is None or message.id not in {number, None}:
        raise Declined(response.status)
    return message
