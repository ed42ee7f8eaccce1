"""`subscriptions/listen` (MCP 2026-07-28): a stream of the changes a client asked to hear of."""

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

from proxy.errors import BadRequest
from proxy.ingress.base import Gate
from proxy.ingress.jsonrpc import (
    INVALID_PARAMS,
    Message,
    RequestId,
    dumps,
    notification_message,
    result_reply,
)
from proxy.ingress.mcp_aggregate import joined_params
from proxy.ingress.mcp_calls import Exchange, call_of
from proxy.ingress.mcp_envelope import SUBSCRIPTION_KEY
from proxy.ingress.streams import EventStream, event, let_go
from proxy.ingress.wire import accepts
from proxy.model.json_text import object_of, texts_of
from proxy.model.ledger import Outcome
from proxy.model.mcp import Era, Notification
from proxy.model.token import new_id
from proxy.upstream.conversation import Silence

STREAMS_PER_PRINCIPAL = 32
MAX_URIS = 100

_SUBSCRIBE = "resources/subscribe"
_URIS = "resourceSubscriptions"
_UPDATED = "notifications/resources/updated"
# What a filter may ask for: the notification, and the method that makes it possible.
_KINDS = {
    "toolsListChanged": ("notifications/tools/list_changed", "tools/call"),
    "promptsListChanged": ("notifications/prompts/list_changed", "prompts/list"),
    "resourcesListChanged": ("notifications/resources/list_changed", "resources/list"),
}


class Listener(Silence):
    """The client of a subscription, which servers know by a session of its own."""

    era: Era | None = Era.STATELESS


class Listening:
    """Serves the streams of every principal, a bounded number each."""

    def __init__(self, gate: Gate, stamp: dict[str, Any]) -> None:
        self._gate = gate
        self._stamp = stamp
        self._streams: Counter[tuple[str, str]] = Counter()

    async def serve(self, exchange: Exchange, message: Message) -> None:
        """Acknowledge a subscription and hold its stream open. Raises BadRequest, Refused."""
        wanted = _filter(message)
        if not accepts(exchange.scope, "text/event-stream"):
            raise BadRequest("not-acceptable", "Accept text/event-stream.", 406)
        session = new_id("lsn")
        with (
            self._gate.stream(exchange.caller) as closing,
            let_go(closing, exchange.scope),
            self._counted(exchange),
        ):
            try:
                honoured = await self._honoured(exchange, message, wanted, session)
                async with self._gate.watch(exchange.server, session) as heard:
                    subscription = _Subscription(message.id, honoured, exchange.server is None)
                    await EventStream(exchange.receive, exchange.send).run(
                        (closing,),
                        subscription.events(heard),
                        subscription.acknowledgement(),
                        lambda: self._farewell(message.id),
                    )
            finally:
                await self._gate.forget(session)

    @contextmanager
    def _counted(self, exchange: Exchange) -> Iterator[None]:
        principal = exchange.caller.principal
        owner = (principal.tenant, principal.agent)
        if self._streams[owner] >= STREAMS_PER_PRINCIPAL:
            raise BadRequest("too-many-streams", "Close a stream first.", 429)
        self._streams[owner] += 1
        try:
            yield
        finally:
            self._streams[owner] -= 1

    async def _honoured(
        self, exchange: Exchange, message: Message, wanted: dict[str, Any], session: str
    ) -> dict[str, Any]:
        """Return the part of a filter that is granted; each resource is a call of its own."""
        methods = {method for _, method in self._gate.offered(exchange.server)}
        honoured: dict[str, Any] = {
            kind: True
            for kind, (_, method) in _KINDS.items()
            if wanted.get(kind) is True and method in methods
        }
        uris = [
            uri
            for uri in dict.fromkeys(wanted.get(_URIS, ()))
            if await self._subscribed(exchange, message, uri, session)
        ]
        return honoured | ({_URIS: uris} if uris else {})

    async def _subscribed(
        self, exchange: Exchange, message: Message, uri: str, session: str
    ) -> bool:
        """Return whether policy and server let this session hear of a resource."""
        params = {"uri": uri, "_meta": message.meta}
        asked = Message(message.id, _SUBSCRIBE, params)
        try:
            call = call_of(self._gate, exchange.server, asked)
        except (BadRequest, LookupError):
            return False
        answer = await self._gate.run(exchange.caller, call, Listener(session))
        return answer.outcome is Outcome.DONE and not answer.is_rpc_error

    def _farewell(self, request_id: RequestId | None) -> bytes:
        """Return the result that ends a stream in peace; a kill ends it without a word."""
        if self._gate.ready():
            return b""
        meta = self._stamp | {SUBSCRIPTION_KEY: request_id}
        return event(result_reply(request_id, dumps({"resultType": "complete", "_meta": meta})))


class _Subscription:
    """One stream: what it honours, and its id on everything it says."""

    def __init__(
        self, request_id: RequestId | None, honoured: dict[str, Any], joined: bool
    ) -> None:
        self._meta = dumps({SUBSCRIPTION_KEY: request_id}).decode()
        self._honoured = honoured
        self._joined = joined
        self._heard = {_KINDS[kind][0] for kind in honoured if kind in _KINDS}
        if _URIS in honoured:
            self._heard.add(_UPDATED)

    def acknowledgement(self) -> bytes:
        """Return the first event: what is honoured."""
        return self._event(
            "notifications/subscriptions/acknowledged", dumps({"notifications": self._honoured})
        )

    async def events(self, heard: AsyncIterator[tuple[str, Notification]]) -> AsyncIterator[bytes]:
        """Give what was asked for as events."""
        async for server, said in heard:
            if said.method in self._heard:
                renamed = self._joined and said.method == _UPDATED
                params = joined_params(server, said.params) if renamed else said.params
                yield self._event(said.method, params)

    def _event(self, method: str, params: bytes) -> bytes:
        members = (texts_of(params) or {}) | {"_meta": self._meta}
        return event(notification_message(method, object_of(members).encode()))


def _filter(message: Message) -> dict[str, Any]:
    """Return the filter of a subscription. Raises BadRequest."""
    wanted = message.params.get("notifications")
    uris = wanted.get(_URIS, []) if isinstance(wanted, dict) else None
    is_list = isinstance(uris, list) and len(uris) <= MAX_URIS
    if (
        not isinstance(wanted, dict)
        or not is_list
        or not all(isinstance(one, str) for one in uris or ())
    ):
        raise BadRequest(
            "invalid-params",
            f"`notifications` is an object, its {_URIS} at most {MAX_URIS} URIs.",
            rpc_code=INVALID_PARAMS,
        )
    return wanted
