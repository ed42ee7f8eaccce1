"""From an MCP request to the call it means, and the tasks that calls run in."""

import asyncio
from dataclasses import dataclass, replace
from typing import Any

from starlette.types import Receive, Scope, Send

from proxy.errors import BadRequest
from proxy.ingress.base import Gate
from proxy.ingress.canonical import Params, canonical_arguments, make_mcp_call
from proxy.ingress.jsonrpc import INVALID_PARAMS, Message
from proxy.ingress.mcp_aggregate import routed
from proxy.ingress.mcp_capabilities import SERVERS_REQUESTS
from proxy.ingress.mcp_names import split_name
from proxy.ingress.mcp_results import META_PREFIX
from proxy.ingress.mcp_rounds import Carried, Seal
from proxy.model.call import TOOLS_CALL, Round, ToolCall
from proxy.pipeline.authenticate import Caller

DRY_RUN_KEY = META_PREFIX + "dry_run"
IDEMPOTENCY_KEY = META_PREFIX + "idempotency_key"
PROGRESS_KEY = "progressToken"

# The methods whose servers may ask for input before they answer (MCP 2026-07-28, MRTR).
ROUNDS = frozenset({"prompts/get", "resources/read", TOOLS_CALL})

_PROTOCOLS = ("io.modelcontextprotocol/", META_PREFIX)
_RESPONSES, _STATE = "inputResponses", "requestState"
_OF_A_TOOL = frozenset({"name", "arguments", "_meta"})
_SPELLED = {
    name.casefold(): name
    for name in (
        *_OF_A_TOOL,
        _RESPONSES,
        _STATE,
        "argument",
        "context",
        "cursor",
        "level",
        "ref",
        "taskId",
        "uri",
    )
}
_KNOWN = frozenset(_SPELLED.values())
_OWN = frozenset({"initialize", "ping", "server/discover", "subscriptions/listen", "tools/list"})


@dataclass(frozen=True, slots=True)
class Exchange:
    """One HTTP exchange of an authenticated caller; `server` None means the aggregated endpoint."""

    scope: Scope
    receive: Receive
    send: Send
    caller: Caller
    server: str | None


def call_of(gate: Gate, server: str | None, message: Message) -> ToolCall:
    """Return the canonical call of a request, its first round.

    `_meta` may ask for `io.detent/dry_run` and give an `io.detent/idempotency_key`; its members
    that belong neither to the protocol nor to Detent are decided on and forwarded, as are other
    members of `params`. Raises BadRequest, LookupError when there is no such method here.
    """
    method, params = message.method, message.params
    if not _KNOWN.issuperset(params) and any(
        _SPELLED.get(key.casefold(), key) != key for key in params
    ):
        raise _invalid("unknown-member", "The members of `params` are spelled as MCP has them.")
    if method == TOOLS_CALL:
        return _tool_call(server, message)
    if method in _OWN or method in SERVERS_REQUESTS or "/" not in method:
        raise LookupError(method)
    own = {key: value for key, value in params.items() if key != "_meta"}
    if method in ROUNDS:
        own = {key: value for key, value in own.items() if key not in (_RESPONSES, _STATE)}
    if server is None:
        server, own = routed(method, own, gate.offered(None))
    return make_mcp_call(server, method, _parts(message, own))


def _tool_call(server: str | None, message: Message) -> ToolCall:
    params = message.params
    name = params.get("name")
    if server is None:
        server, name = split_name(name) or (None, None)
    beside = _OF_A_TOOL | {_RESPONSES, _STATE}
    extras = {key: value for key, value in params.items() if key not in beside}
    return make_mcp_call(server, name, _parts(message, params.get("arguments", {}), extras))


def _parts(message: Message, arguments: object, extras: dict[str, Any] | None = None) -> Params:
    meta = message.meta
    return Params(
        arguments,
        extras=extras or {},
        meta={
            key: value
            for key, value in meta.items()
            if key != PROGRESS_KEY and not key.startswith(_PROTOCOLS)
        },
        responses=_responses(message) or {},
        dry_run=meta.get(DRY_RUN_KEY, False),
        idempotency_key=meta.get(IDEMPOTENCY_KEY),
    )


def _responses(message: Message) -> dict[str, Any] | None:
    """Return the `inputResponses` of a retry, None when there are none. Raises BadRequest."""
    if message.method not in ROUNDS or _RESPONSES not in message.params:
        return None
    given = message.params[_RESPONSES]
    if not isinstance(given, dict) or not all(isinstance(one, dict) for one in given.values()):
        raise _invalid("invalid-input-responses", "`inputResponses` holds one object by key.")
    return given


def further_round(
    seal: Seal, caller: Caller, call: ToolCall, message: Message
) -> tuple[ToolCall, Carried, dict[str, Any]]:
    """Return the call of a retry, what its state carried, and its responses.

    A first round comes back as it is. Raises BadRequest when the state is not this call's.
    """
    responses = _responses(message)
    if _STATE in message.params:
        carried = seal.opened(message.params[_STATE], caller, call)
    elif responses is not None:
        carried = Carried()
    else:
        return call, Carried(), {}
    given = canonical_arguments(responses or {})
    later = Round(carried.step_id, carried.number, given, carried.state)
    return replace(call, round=later), carried, responses or {}


async def cancelled(task: asyncio.Task[Any]) -> None:
    """Cancel a task unless it has ended, and wait until it has settled."""
    if not task.done():
        task.cancel()
        await asyncio.wait({task})


def no_such_method(http: int) -> BadRequest:
    """Refuse a method that does not exist here."""
    return BadRequest("unknown-method", "There is no such method.", http, -32601)


def _invalid(code: str, detail: str) -> BadRequest:
    return BadRequest(code, detail, rpc_code=INVALID_PARAMS)
