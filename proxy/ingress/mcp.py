"""`/mcp` and `/mcp/{server}`: MCP over streamable HTTP, both eras on one endpoint.

A request that names revision 2026-07-28 is served here, without any state; everything else is the
handshake era of `mcp_stateful`. Authentication comes before reading, and before every method.
"""

import asyncio
import re
from collections import Counter
from http import HTTPStatus
from typing import Any

from starlette.types import Receive, Scope, Send

from proxy.errors import BadRequest, DetentError, Refused, StoreUnavailable
from proxy.ingress.base import Gate
from proxy.ingress.jsonrpc import (
    INVALID_PARAMS,
    METHOD_NOT_FOUND,
    Message,
    RequestId,
    dumps,
    error_of,
    parse_message,
    result_reply,
)
from proxy.ingress.mcp_calls import Exchange, cancelled, list_tools, start_call
from proxy.ingress.mcp_envelope import (
    SERVER_INFO_KEY,
    SUBSCRIPTION_KEY,
    SUPPORTED_VERSIONS,
    UNSUPPORTED_VERSION,
    check_envelope,
    check_method,
    check_version,
    is_stateless,
)
from proxy.ingress.mcp_results import call_reply
from proxy.ingress.mcp_stateful import SessionLimits, StatefulEra
from proxy.ingress.problems import CHALLENGE, problem_of
from proxy.ingress.streams import event, idle_stream
from proxy.ingress.wire import JSON, accepts, bearer, disconnected, header, read_body, respond
from proxy.model.call import Door
from proxy.model.step import Answer

STREAMS_PER_PRINCIPAL = 32

_EXTRA: dict[int, tuple[tuple[bytes, bytes], ...]] = {
    HTTPStatus.UNAUTHORIZED: (CHALLENGE,),
    HTTPStatus.METHOD_NOT_ALLOWED: ((b"allow", b"POST"),),
}
_VERSION_FORM = re.compile(r"[0-9A-Za-z.-]{1,32}")


class McpDoor:
    """Plain ASGI application for the MCP endpoints. `version` is the gateway's own."""

    def __init__(self, gate: Gate, version: str, limits: SessionLimits | None = None) -> None:
        server_info = {"name": "detent", "version": version}
        self._gate = gate
        self._stamp: dict[str, Any] = {SERVER_INFO_KEY: server_info}
        self._stateful = StatefulEra(gate, server_info, limits or SessionLimits())
        self._streams: Counter[tuple[str, str]] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Authenticate, then serve by HTTP method; refusals are JSON-RPC errors."""
        try:
            caller = await self._gate.authenticate(bearer(scope))
        except (Refused, StoreUnavailable) as error:
            await _refuse(scope, send, None, error)
            return
        server = scope["path"].removeprefix("/mcp").removeprefix("/") or None
        exchange = Exchange(scope, receive, send, caller, server)
        message: Message | None = None
        try:
            check_method(scope)
            if scope["method"] == "GET":
                await self._stateful.stream(exchange)
            elif scope["method"] == "DELETE":
                await self._stateful.end(exchange)
            else:
                message = parse_message(await read_body(receive))
                await self._post(exchange, message)
        except BadRequest as error:
            await self._gate.reject(error, caller, Door.MCP)
            await _refuse(scope, send, message, error)
        except (Refused, StoreUnavailable) as error:
            await _refuse(scope, send, message, error)

    async def _post(self, exchange: Exchange, message: Message) -> None:
        if not accepts(exchange.scope, "application/json"):
            raise BadRequest("not-acceptable", "Accept application/json.", 406)
        if not is_stateless(exchange.scope, message):
            await self._stateful.post(exchange, message)
        elif message.id is None:
            check_version(exchange.scope)
            await respond(exchange.send, 202, b"", ())
        else:
            check_envelope(exchange.scope, message)
            await self._stateless(exchange, message)

    async def _stateless(self, exchange: Exchange, message: Message) -> None:
        if message.method == "subscriptions/listen":
            await self._listen(exchange, message)
        elif message.method == "tools/call":
            await self._call(exchange, message)
        elif message.method == "tools/list":
            reply = await list_tools(self._gate, exchange, message, self._stamp)
            await respond(exchange.send, 200, reply)
        elif message.method == "server/discover":
            await respond(exchange.send, 200, result_reply(message.id, self._discovered()))
        else:
            raise BadRequest("unknown-method", "There is no such method.", 404, METHOD_NOT_FOUND)

    async def _call(self, exchange: Exchange, message: Message) -> None:
        """Run a call; a client that closes its request cancels it (streamable HTTP)."""
        call = start_call(self._gate, exchange, message)
        answer = await _unless_disconnected(call, exchange.receive)
        if answer is not None:
            await respond(exchange.send, 200, call_reply(message.id, answer, self._stamp))

    async def _listen(self, exchange: Exchange, message: Message) -> None:
        """Acknowledge a subscription and hold its stream open.

        No kind of notification is offered yet, so none is honoured.
        """
        if not isinstance(message.params.get("notifications"), dict):
            raise BadRequest(
                "invalid-params", "`notifications` must be an object.", rpc_code=INVALID_PARAMS
            )
        if not accepts(exchange.scope, "text/event-stream"):
            raise BadRequest("not-acceptable", "Accept text/event-stream.", 406)
        principal = exchange.caller.principal
        owner = (principal.tenant, principal.agent)
        if self._streams[owner] >= STREAMS_PER_PRINCIPAL:
            raise BadRequest("too-many-streams", "Close a stream first.", 429)
        with self._gate.stream(exchange.caller) as closing:
            self._streams[owner] += 1
            try:
                first = event(_acknowledgement(message.id))
                await idle_stream(exchange.receive, exchange.send, (closing,), first)
            finally:
                self._streams[owner] -= 1

    def _discovered(self) -> bytes:
        return dumps(
            {
                "resultType": "complete",
                "supportedVersions": list(SUPPORTED_VERSIONS),
                "capabilities": {"tools": {}},
                "ttlMs": 0,
                "cacheScope": "private",
                "_meta": self._stamp,
            }
        )


async def _unless_disconnected(call: asyncio.Task[Answer], receive: Receive) -> Answer | None:
    """Return the answer, or None after the client has gone and the call was cancelled."""
    gone = asyncio.create_task(disconnected(receive))
    try:
        await asyncio.wait({call, gone}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        gone.cancel()
        await cancelled(call)
    return None if call.cancelled() else call.result()


def _acknowledgement(request_id: RequestId | None) -> bytes:
    params = {"_meta": {SUBSCRIPTION_KEY: request_id}, "notifications": {}}
    method = "notifications/subscriptions/acknowledged"
    return dumps({"jsonrpc": "2.0", "method": method, "params": params})


async def _refuse(scope: Scope, send: Send, message: Message | None, error: DetentError) -> None:
    """Answer with the JSON-RPC error; its HTTP status is that of the plain doors."""
    problem = problem_of(error)
    headers = (*JSON, *_EXTRA.get(problem.status, ()))
    data: dict[str, Any] = {}
    if isinstance(error, BadRequest) and error.rpc_code == UNSUPPORTED_VERSION:
        asked = header(scope, b"mcp-protocol-version") or ""
        requested = asked if _VERSION_FORM.fullmatch(asked) else ""
        data = {"supported": list(SUPPORTED_VERSIONS), "requested": requested}
    reply = error_of(message.id if message else None, error, data)
    await respond(send, problem.status, reply, headers)
