"""`/mcp` and `/mcp/{server}`: MCP over streamable HTTP, both eras on one endpoint.

A request that names revision 2026-07-28 is served by `mcp_stateless`, everything else by
`mcp_stateful`. Authentication comes before reading, and before every method.
"""

import re
from http import HTTPStatus
from typing import Any

from starlette.types import Receive, Scope, Send

from proxy.errors import BadRequest, DetentError, Refused, StoreUnavailable
from proxy.ingress.base import Gate
from proxy.ingress.jsonrpc import (
    Message,
    Response,
    error_of,
    parse_message,
    unexpected_response,
)
from proxy.ingress.mcp_calls import Exchange
from proxy.ingress.mcp_envelope import (
    SERVER_INFO_KEY,
    SUPPORTED_VERSIONS,
    UNSUPPORTED_VERSION,
    check_method,
    check_version,
    is_stateless,
    names_stateless,
)
from proxy.ingress.mcp_parked import ParkedCalls
from proxy.ingress.mcp_rounds import Seal, own_seal
from proxy.ingress.mcp_sessions import SessionLimits
from proxy.ingress.mcp_stateful import StatefulEra
from proxy.ingress.mcp_stateless import StatelessEra
from proxy.ingress.problems import CHALLENGE, problem_of
from proxy.ingress.wire import JSON, accepts, bearer, header, read_body, respond
from proxy.model.call import Door

_EXTRA: dict[int, tuple[tuple[bytes, bytes], ...]] = {
    HTTPStatus.UNAUTHORIZED: (CHALLENGE,),
    HTTPStatus.METHOD_NOT_ALLOWED: ((b"allow", b"POST"),),
}
_VERSION_FORM = re.compile(r"[0-9A-Za-z.-]{1,32}")


class McpDoor:
    """Plain ASGI application for the MCP endpoints.

    `version` is the gateway's own; `seal` closes what clients carry between two rounds of a call.
    """

    def __init__(
        self,
        gate: Gate,
        version: str,
        limits: SessionLimits | None = None,
        seal: Seal | None = None,
    ) -> None:
        server_info = {"name": "detent", "version": version}
        self._gate = gate
        self._stateful = StatefulEra(gate, server_info, limits or SessionLimits())
        self._stateless = StatelessEra(
            gate, {SERVER_INFO_KEY: server_info}, ParkedCalls(), seal or own_seal()
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Authenticate, then serve by HTTP method; refusals are JSON-RPC errors."""
        try:
            caller = await self._gate.authenticate(bearer(scope))
        except (Refused, StoreUnavailable) as error:
            await _refuse(scope, send, None, error)
            return
        server = scope["path"].removeprefix("/mcp").removeprefix("/") or None
        exchange = Exchange(scope, receive, send, caller, server)
        message: Message | Response | None = None
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

    async def _post(self, exchange: Exchange, message: Message | Response) -> None:
        if not accepts(exchange.scope, "application/json"):
            raise BadRequest("not-acceptable", "Accept application/json.", 406)
        if isinstance(message, Response):
            if names_stateless(exchange.scope):
                raise unexpected_response()
            await self._stateful.post(exchange, message)
        elif not is_stateless(exchange.scope, message):
            await self._stateful.post(exchange, message)
        elif message.id is None:
            check_version(exchange.scope)
            await respond(exchange.send, 202, b"", ())
        else:
            await self._stateless.post(exchange, message)


async def _refuse(
    scope: Scope, send: Send, message: Message | Response | None, error: DetentError
) -> None:
    """Answer with the JSON-RPC error; its HTTP status is that of the plain doors."""
    problem = problem_of(error)
    headers = (*JSON, *_EXTRA.get(problem.status, ()))
    data: dict[str, Any] = {}
    if isinstance(error, BadRequest) and error.rpc_code == UNSUPPORTED_VERSION:
        asked = header(scope, b"mcp-protocol-version") or ""
        requested = asked if _VERSION_FORM.fullmatch(asked) else ""
        data = {"supported": list(SUPPORTED_VERSIONS), "requested": requested}
    request_id = message.id if isinstance(message, Message) else None
    await respond(send, problem.status, error_of(request_id, error, data), headers)
