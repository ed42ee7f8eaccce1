"""MCP's streamable HTTP: one POST a message, answered as JSON or as a stream of events."""

import asyncio
import logging
from collections.abc import Coroutine, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import replace

from proxy.egress.client import EgressClient, EgressRequest, EgressStream
from proxy.errors import OutcomeUnknown, UpstreamError, UpstreamFailed
from proxy.upstream.exchange import (
    PATIENCE_S,
    Declined,
    Events,
    Hear,
    Nonsense,
    Pause,
    Question,
    Session,
    StreamLeft,
    answer_in,
    freely,
    unheard,
    unmoved,
)
from proxy.upstream.headers import outgoing
from proxy.upstream.jsonrpc import Message, request

MAX_ANSWER_BYTES = 16 * 1024 * 1024
MAX_STREAM_BYTES = 2**62  # of a stream that is listened to: its events are bounded one by one
MAX_STREAM_S = 3600.0
COURTESY_S = 2.0
RETRY_S = 1.0
MIN_RETRY_S = 0.05
log = logging.getLogger(__name__)


class Endpoint:
    """One URL that speaks MCP: the client's base URL, as it is."""

    def __init__(self, name: str, client: EgressClient, headers: Mapping[str, str]) -> None:
        self.name = name
        self._client = client
        self._url = client.origin.url + (client.origin.path or "/")
        self._headers = outgoing({}, headers)
        self._courtesies: set[asyncio.Task[None]] = set()

    async def ask(
        self,
        session: Session,
        asked: Question,
        hear: Hear = unheard,
        pause: Pause = unmoved,
    ) -> tuple[Message, str]:
        """Return the answer to one request, and the session id that came with it.

        `hear` takes every other message of the stream, one by one. A JSON-RPC error is an answer,
        whatever its status. A stream that breaks is picked up where it broke, where the server
        can; `pause` takes how long a server that closed it wants to be left alone. Raises
        UpstreamFailed (Declined, SessionOver), OutcomeUnknown (ServerError, Nonsense).
        """
        due_s = _now() + asked.timeout_s
        body = request(asked.number, asked.method, asked.params)
        post = self._post(self._marked(session, asked), body, asked.timeout_s)
        events = Events(asked.number, hear)
        session_id = ""
        try:
            async with self._client.stream(post, asked.sending) as response:
                session_id = response.headers.get("Mcp-Session-Id", "")
                return await answer_in(response, session, events), session_id
        except Nonsense:
            raise
        except OutcomeUnknown as broken:
            if not session.is_resumable or not events.parser.last_id:
                raise
            was_left = isinstance(broken, StreamLeft)
        if was_left:
            await pause(_pause_s(events))
        return await self._resumed(session, asked, events, due_s), session_id

    async def reply(self, session: Session, body: bytes, headers: Mapping[str, str]) -> None:
        """Answer what the server asked. Raises UpstreamFailed, OutcomeUnknown."""
        await self._give(self._post({**self._base(session), **headers}, body, PATIENCE_S))

    async def notify(self, session: Session, body: bytes) -> None:
        """Send a notification and see it taken. Raises UpstreamFailed, OutcomeUnknown."""
        await self._give(self._post(self._base(session), body, PATIENCE_S))

    def tell(self, session: Session, body: bytes, headers: Mapping[str, str]) -> None:
        """Send a notification in the background."""
        self._kindly(self._post({**self._base(session), **headers}, body, COURTESY_S))

    def listen(
        self, session: Session, last_id: str = ""
    ) -> AbstractAsyncContextManager[EgressStream]:
        """Open the stream of what a session's server says outside of calls."""
        get = self._get(session, {}, last_id)
        return self._client.stream(replace(get, max_bytes=MAX_STREAM_BYTES), freely)

    def subscribe(
        self, session: Session, asked: Question
    ) -> AbstractAsyncContextManager[EgressStream]:
        """Open the stream that answers one request for as long as it is open."""
        body = request(asked.number, asked.method, asked.params)
        post = self._post(self._marked(session, asked), body, MAX_STREAM_S)
        return self._client.stream(replace(post, max_bytes=MAX_STREAM_BYTES), asked.sending)

    def end(self, session: Session) -> None:
        """End a session in the background."""
        if session.id:
            headers = {**self._headers, **session.headers()}
            self._kindly(EgressRequest("DELETE", self._url, headers, timeout_s=COURTESY_S))

    async def close(self) -> None:
        """Close every connection, after what is still being sent in the background."""
        if self._courtesies:
            await asyncio.wait(self._courtesies, timeout=COURTESY_S)
        await self._client.close()

    async def _resumed(
        self, session: Session, asked: Question, events: "Events", due_s: float
    ) -> Message:
        """Pick a broken stream up until it has the answer. Raises OutcomeUnknown."""
        while True:
            await asyncio.sleep(max(MIN_RETRY_S, min(_pause_s(events), due_s - _now())))
            if _now() >= due_s:
                raise OutcomeUnknown("it did not answer in time")
            last_id = events.parser.last_id
            get = replace(self._get(session, asked.headers, last_id), timeout_s=due_s - _now())
            try:
                async with self._client.stream(get, freely) as response:
                    return await events.answer(response)
            except UpstreamFailed as failed:
                raise OutcomeUnknown("its stream ended without an answer") from failed
            except Nonsense:
                raise
            except OutcomeUnknown:
                log.info("a stream broke again", extra={"server": self.name})

    def _base(self, session: Session) -> dict[str, str]:
        return {**self._headers, **session.headers(), "Content-Type": "application/json"}

    def _marked(self, session: Session, asked: Question) -> dict[str, str]:
        marks = {**session.headers(asked.method), "Content-Type": "application/json"}
        return {**self._headers, **marks, **asked.headers}

    def _get(self, session: Session, headers: Mapping[str, str], last_id: str) -> EgressRequest:
        marks = {**session.headers(), "Accept": "text/event-stream"}
        if last_id:
            marks["Last-Event-ID"] = last_id
        asked = {**self._headers, **headers, **marks}
        return EgressRequest("GET", self._url, asked, b"", MAX_STREAM_S, MAX_ANSWER_BYTES)

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
            log.info("server was not told: %s", failed, extra={"server": self.name})


def _pause_s(events: Events) -> float:
    """Return how long a server wants to be left alone before its stream is picked up."""
    return RETRY_S if events.parser.retry_s is None else events.parser.retry_s


def _now() -> float:
    return asyncio.get_running_loop().time()
