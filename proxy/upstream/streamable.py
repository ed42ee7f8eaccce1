"""MCP's streamable HTTP: one POST a message, answered as JSON or as a stream of events."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field

from proxy.egress.client import EgressClient, EgressRequest, EgressStream
from proxy.errors import OutcomeUnknown, UpstreamError, UpstreamFailed
from proxy.model.mcp import Era
from proxy.upstream.headers import outgoing
from proxy.upstream.jsonrpc import Message, parse, reply, request
from proxy.upstream.mcp_wire import Spoken
from proxy.upstream.sse import EventParser

MAX_ANSWER_BYTES = 16 * 1024 * 1024
PATIENCE_S = 10.0
COURTESY_S = 2.0
MAX_COURTESIES = 32
log = logging.getLogger(__name__)


class Declined(UpstreamFailed):
    """The server did not take the request: a status of 3xx or 4xx and no JSON-RPC error."""

    def __init__(self, status: int) -> None:
        super().__init__(f"it answered with status {status}")
        self.status = status


class SessionOver(UpstreamFailed):
    """The server no longer knows the session; nothing was executed."""


class ServerError(OutcomeUnknown):
    """The server failed over the request: a status of 5xx, or one that answers nothing."""


@dataclass(frozen=True, slots=True)
class Session:
    """What was agreed with the server, and the session id it gave ("" when it gave none)."""

    spoken: Spoken | None = None
    id: str = ""

    def headers(self, method: str) -> dict[str, str]:
        """Return what a request of this session carries beside its own headers."""
        headers = {
            "Accept": "application/json, text/event-stream",
            "Content-Type": "application/json",
        }
        if self.spoken is not None:
            headers["MCP-Protocol-Version"] = self.spoken.version
            if self.spoken.era is Era.STATELESS:
                headers["Mcp-Method"] = method
        if self.id:
            headers["Mcp-Session-Id"] = self.id
        return headers


def freely() -> None:
    """Let a request go that is no call."""


@dataclass(frozen=True, slots=True)
class Question:
    """One JSON-RPC request with its params (a JSON object) and headers of its own."""

    number: int
    method: str
    params: bytes
    headers: Mapping[str, str] = field(repr=False, default_factory=dict)
    timeout_s: float = PATIENCE_S
    sending: Callable[[], None] = freely


class Endpoint:
    """One URL that speaks MCP: the client's base URL, as it is."""

    def __init__(
        self,
        name: str,
        client: EgressClient,
        headers: Mapping[str, str],
        on_changed: Callable[[], None],
    ) -> None:
        self._name = name
        self._client = client
        self._url = client.origin.url + (client.origin.path or "/")
        self._headers = outgoing({}, headers)
        self._on_changed = on_changed
        self._courtesies: set[asyncio.Task[None]] = set()

    async def ask(self, session: Session, asked: Question) -> tuple[Message, str]:
        """Return the answer to one request, and the session id that came with it.

        A JSON-RPC error is an answer, whatever its status. Raises UpstreamFailed (Declined,
        SessionOver), OutcomeUnknown (ServerError).
        """
        headers = {**self._headers, **session.headers(asked.method), **asked.headers}
        body = request(asked.number, asked.method, asked.params)
        post = self._post(headers, body, asked.timeout_s)
        async with self._client.stream(post, asked.sending) as response:
            message = await self._answer(response, session, asked.number)
            return message, response.headers.get("Mcp-Session-Id", "")

    def tell(self, session: Session, body: bytes) -> None:
        """Send a notification or an answer in the background."""
        self._kindly(self._post({**self._headers, **session.headers("")}, body, COURTESY_S))

    async def notify(self, session: Session, body: bytes) -> None:
        """Send a notification and see it taken. Raises UpstreamFailed, OutcomeUnknown."""
        await self._give(self._post({**self._headers, **session.headers("")}, body, PATIENCE_S))

    async def close(self, session: Session | None) -> None:
        """End the session and close every connection."""
        if session is not None and session.id:
            headers = {**self._headers, **session.headers("")}
            self._kindly(EgressRequest("DELETE", self._url, headers, timeout_s=COURTESY_S))
        if self._courtesies:
            await asyncio.wait(self._courtesies, timeout=COURTESY_S)
        await self._client.close()

    async def _answer(self, response: EgressStream, session: Session, number: int) -> Message:
        if response.status == 404 and session.id:  # noqa: PLR2004 MCP, session management
            raise SessionOver("its session is over; the next call opens a new one")
        if not 200 <= response.status < 300:  # noqa: PLR2004 the class 2xx
            return await _refusal(response, number)
        media = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if media == "text/event-stream":
            return await self._streamed(response, session, number)
        message = _message(await response.read())
        if message is None or not message.is_answer or message.id != number:
            raise OutcomeUnknown("its answer is not one to what was asked")
        return message

    async def _streamed(self, response: EgressStream, session: Session, number: int) -> Message:
        events = EventParser()
        async for chunk in response.chunks():
            for data in events.feed(chunk):
                message = _message(data)
                if message is None:
                    raise OutcomeUnknown("its stream has what is not a message")
                if message.is_answer and message.id == number:
                    await response.drain()
                    return message
                self._hear(session, message)
        raise OutcomeUnknown("its stream ended without an answer")

    def _hear(self, session: Session, message: Message) -> None:
        asks = message.method is not None and message.id is not None
        if message.method == "notifications/tools/list_changed":
            self._on_changed()
        elif asks and len(self._courtesies) < MAX_COURTESIES:  # bounds what a server makes us do
            self.tell(session, reply(message))

    def _post(self, headers: Mapping[str, str], body: bytes, timeout_s: float) -> EgressRequest:
        return EgressRequest("POST", self._url, headers, body, timeout_s, MAX_ANSWER_BYTES)

    async def _give(self, given: EgressRequest) -> None:
        response = await self._client.request(given, freely)
        if not 200 <= response.status < 300:  # noqa: PLR2004 the class 2xx
            raise Declined(response.status)

    def _kindly(self, given: EgressRequest) -> None:
        task = asyncio.create_task(self._quietly(self._give(given)))
        self._courtesies.add(task)
        task.add_done_callback(self._courtesies.discard)

    async def _quietly(self, giving: Coroutine[None, None, None]) -> None:
        try:
            await giving
        except UpstreamError as failed:
            log.info("server was not told: %s", failed, extra={"server": self._name})


async def _refusal(response: EgressStream, number: int) -> Message:
    """Return the JSON-RPC error of a 3xx or 4xx, which may come with the id null."""
    if not 300 <= response.status < 500:  # noqa: PLR2004 the classes 3xx and 4xx
        raise ServerError(f"it answered with status {response.status}")
    message = _message(await response.read())
    if message is None or message.error is None or message.id not in {number, None}:
        raise Declined(response.status)
    return message


def _message(data: bytes) -> Message | None:
    try:
        return parse(data)
    except ValueError:
        return None
