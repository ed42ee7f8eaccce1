"""The client's end of a call while it runs, in both eras.

What a server tells goes out at once as an event of the call's own answer. What it asks becomes a
JSON-RPC request there in the handshake era (MCP 2025-11-25, transports), and the end of the round
in the stateless one: the client answers with its next request (2026-07-28, multi round-trip).
"""

import asyncio
import itertools
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from proxy.ingress.canonical import canonical_arguments
from proxy.ingress.jsonrpc import (
    RequestId,
    Response,
    dumps,
    notification_message,
    request_message,
)
from proxy.ingress.mcp_aggregate import joined_params
from proxy.ingress.mcp_capabilities import SERVERS_REQUESTS, is_logged, missing_capabilities
from proxy.ingress.streams import Outlet
from proxy.model.json_text import object_of, string_of, texts_of
from proxy.model.mcp import Era, RpcReply
from proxy.model.token import new_id
from proxy.upstream.conversation import NOT_HERE

MAX_QUESTIONS = 32

_PREFIX = "notifications/"
_PROGRESS = "notifications/progress"
_LOGGED = "notifications/message"
_UPDATED = "notifications/resources/updated"
# About requests and streams of a server with the gateway, not of the gateway with this client.
_BETWEEN_OTHERS = frozenset(
    {
        "notifications/cancelled",
        "notifications/initialized",
        "notifications/subscriptions/acknowledged",
    }
)
# In the stateless era these come on streams of their own only (subscriptions).
_SUBSCRIBED = frozenset(
    {
        _UPDATED,
        "notifications/prompts/list_changed",
        "notifications/resources/list_changed",
        "notifications/tools/list_changed",
    }
)
_UNDECLARED = RpcReply(
    error=b'{"code":-32601,"message":"The client of this call did not declare that capability"}'
)
_NOBODY = RpcReply(error=NOT_HERE)


@dataclass(frozen=True, slots=True)
class Client:
    """What is known of the client of a call.

    `session` tells its sessions apart for servers. `server` is the one called when its URIs have to
    be told from others' on the aggregated endpoint, else None.
    """

    era: Era
    session: str
    capabilities: Mapping[str, Any] = field(default_factory=dict)
    progress_token: RequestId | None = None
    log_level: str | None = None
    server: str | None = None

    def calling(self, server: str, *, joined: bool) -> "Client":
        """Return the client of a call of that server; `joined`: through the aggregated endpoint."""
        return replace(self, server=server) if joined else self


class ClientEnd:
    """A client that hears what its server tells, and answers nothing."""

    def __init__(self, client: Client, outlet: Outlet) -> None:
        self.era: Era | None = client.era
        self.session = client.session
        self.capabilities = client.capabilities
        self.wants_progress = client.progress_token is not None
        self.log_level = client.log_level
        self._client = client
        self._outlet = outlet

    async def tell(self, method: str, params: bytes) -> None:
        """Pass a notification on, if it is one this client asked for."""
        shown = self._shown(method, params)
        if shown is not None:
            await self._outlet.event(notification_message(method, shown))

    async def ask(self, method: str, params: bytes) -> RpcReply:
        """Refuse: nobody answers."""
        del method, params
        return _NOBODY

    async def pause(self, retry_s: float) -> None:
        """Let the client go until it comes back, where its era has that."""

    def _shown(self, method: str, params: bytes) -> bytes | None:
        """Return the params as this client gets them, None when it gets none."""
        client = self._client
        if not method.startswith(_PREFIX) or method in _BETWEEN_OTHERS:
            return None
        if method == _PROGRESS:
            return _with_token(params, client.progress_token)
        if method == _LOGGED:
            return params if self._is_logged(params) else None
        if method in _SUBSCRIBED and client.era is Era.STATELESS:
            return None
        if method == _UPDATED and client.server is not None:
            return joined_params(client.server, params)
        return params

    def _is_logged(self, params: bytes) -> bool:
        """Whether a log message is told: in the stateless era only to those who asked for any."""
        wanted = self._client.log_level
        if wanted is None:
            return self._client.era is Era.HANDSHAKE
        return is_logged(string_of((texts_of(params) or {}).get("level")), wanted)


def _with_token(params: bytes, token: RequestId | None) -> bytes | None:
    members = texts_of(params)
    if members is None or token is None:
        return None
    return object_of(members | {"progressToken": dumps(token).decode()}).encode()


class Questions:
    """Requests to the client of one session that wait for its answer."""

    def __init__(self) -> None:
        self._waiting: dict[str, asyncio.Future[RpcReply]] = {}

    @contextmanager
    def asked(self) -> Iterator[tuple[str, asyncio.Future[RpcReply]]]:
        """Yield the id of a new request and its answer."""
        request_id = new_id("ask")
        answer: asyncio.Future[RpcReply] = asyncio.get_running_loop().create_future()
        self._waiting[request_id] = answer
        try:
            yield request_id, answer
        finally:
            del self._waiting[request_id]

    def answer(self, response: Response) -> bool:
        """Give an answer to its request; return False when none waits for it."""
        waiting = self._waiting.get(str(response.id))
        if waiting is None or waiting.done():
            return False
        waiting.set_result(response.reply)
        return True

    def __len__(self) -> int:
        return len(self._waiting)


class HandshakeEnd(ClientEnd):
    """The client of a session: a server's request goes out as an event of the call's answer."""

    def __init__(self, client: Client, outlet: Outlet, questions: Questions) -> None:
        super().__init__(client, outlet)
        self._questions = questions

    async def ask(self, method: str, params: bytes) -> RpcReply:
        """Ask; the answer is posted by the client on its own. A cut call takes the request back."""
        if missing_capabilities([(method, json.loads(params))], self.capabilities):
            return _UNDECLARED
        if len(self._questions) >= MAX_QUESTIONS:
            return _NOBODY
        with self._questions.asked() as (request_id, answer):
            if not await self._outlet.event(request_message(request_id, method, params)):
                return _NOBODY
            try:
                return await answer
            except asyncio.CancelledError:
                taken_back = dumps({"requestId": request_id})
                await self._outlet.event(
                    notification_message("notifications/cancelled", taken_back)
                )
                raise

    async def pause(self, retry_s: float) -> None:
        """Let the client go until it comes back."""
        await self._outlet.pause(retry_s)


@dataclass(frozen=True, slots=True)
class _Asked:
    method: str
    params: bytes
    answer: asyncio.Future[RpcReply]

    def text(self) -> str:
        """Return the request as JSON text."""
        method = dumps(self.method).decode()
        return object_of({"method": method, "params": self.params.decode()})


class RoundsEnd(ClientEnd):
    """The client of a call without session: its answers come with its next request."""

    def __init__(self, client: Client, outlet: Outlet) -> None:
        super().__init__(client, outlet)
        self._numbers = itertools.count(1)
        self._asked: dict[str, _Asked] = {}
        self._news: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def ask(self, method: str, params: bytes) -> RpcReply:
        """Ask with the end of this round, and wait for the next one."""
        if method not in SERVERS_REQUESTS or len(self._asked) >= MAX_QUESTIONS:
            return _NOBODY
        if missing_capabilities([(method, json.loads(params))], self.capabilities):
            return _UNDECLARED
        key = f"input-{next(self._numbers)}"
        asked = _Asked(method, params, asyncio.get_running_loop().create_future())
        self._asked[key] = asked
        if not self._news.done():
            self._news.set_result(None)
        try:
            return await asked.answer
        finally:
            del self._asked[key]

    @property
    def is_asking(self) -> bool:
        """Whether something is asked that has no answer."""
        return bool(self._open())

    def asking(self) -> asyncio.Future[None]:
        """Return what is done as soon as something is asked."""
        if self._news.done() and not self.is_asking:
            self._news = asyncio.get_running_loop().create_future()
        return self._news

    def requests(self) -> str:
        """Return the `inputRequests` that have no answer, as JSON text."""
        return object_of({key: asked.text() for key, asked in self._open().items()})

    def resume(self, client: Client, outlet: Outlet, responses: Mapping[str, Any]) -> None:
        """Go on with the client's next request and what it answers; other keys are nobody's."""
        self.capabilities = client.capabilities
        self._client = replace(client, server=self._client.server)
        self._outlet = outlet
        for key, asked in self._open().items():
            if key in responses:
                asked.answer.set_result(RpcReply(result=canonical_arguments(responses[key])))

    def _open(self) -> dict[str, _Asked]:
        return {key: asked for key, asked in self._asked.items() if not asked.answer.done()}
