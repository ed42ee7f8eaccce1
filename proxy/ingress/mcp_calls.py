"""tools/list and tools/call, the same in both eras."""

import asyncio
from dataclasses import dataclass
from typing import Any

from starlette.types import Receive, Scope, Send

from proxy.errors import BadRequest
from proxy.ingress.base import Gate
from proxy.ingress.canonical import make_call
from proxy.ingress.jsonrpc import INVALID_PARAMS, Message, result_reply
from proxy.ingress.mcp_names import split_name
from proxy.ingress.mcp_results import META_PREFIX, tools_result
from proxy.model.call import Door, ToolCall
from proxy.model.session import Mode
from proxy.model.step import Answer
from proxy.pipeline.authenticate import Caller

DRY_RUN_KEY = META_PREFIX + "dry_run"
IDEMPOTENCY_KEY = META_PREFIX + "idempotency_key"

_KNOWN = frozenset({"name", "arguments", "_meta"})


@dataclass(frozen=True, slots=True)
class Exchange:
    """One HTTP exchange of an authenticated caller; `server` None means the aggregated endpoint."""

    scope: Scope
    receive: Receive
    send: Send
    caller: Caller
    server: str | None


def call_of(message: Message, server: str | None) -> ToolCall:
    """Return the canonical call of a tools/call request.

    `_meta` may ask for `io.detent/dry_run` and give an `io.detent/idempotency_key`; other members
    of `_meta` and `params` that the protocol may add are not read and not forwarded. Raises
    BadRequest.
    """
    params, meta = message.params, message.meta
    if any(key not in _KNOWN and key.casefold() in _KNOWN for key in params):
        raise _invalid("unknown-member", "The members of `params` are spelled in lower case.")
    name = params.get("name")
    if server is None:
        server, name = split_name(name) or (None, None)
    return make_call(
        server,
        name,
        params.get("arguments", {}),
        Door.MCP,
        dry_run=meta.get(DRY_RUN_KEY, False),
        idempotency_key=meta.get(IDEMPOTENCY_KEY),
    )


def start_call(gate: Gate, exchange: Exchange, message: Message) -> asyncio.Task[Answer]:
    """Start the call in a task of its own, so that it can be cancelled. Raises BadRequest."""
    call = call_of(message, exchange.server)
    return asyncio.get_running_loop().create_task(_run(gate, exchange.caller, call))


async def _run(gate: Gate, caller: Caller, call: ToolCall) -> Answer:
    return await gate.run(caller, call)


async def cancelled(call: asyncio.Task[Answer]) -> None:
    """Cancel a call unless it has ended, and wait until it has settled."""
    if not call.done():
        call.cancel()
        await asyncio.wait({call})


async def list_tools(
    gate: Gate, exchange: Exchange, message: Message, stamp: dict[str, Any] | None
) -> bytes:
    """Return the response to tools/list; there is one page. Raises BadRequest, Refused.

    In a dry run outputSchema is not shown: previews would not fit it.
    """
    if message.params.get("cursor") is not None:
        raise _invalid("invalid-cursor", "There is one page; send no cursor.")
    caller = exchange.caller
    previews = caller.session.mode is Mode.DRY_RUN or caller.principal.dry_run
    result = tools_result(
        await gate.visible(caller, exchange.server),
        aggregated=exchange.server is None,
        with_output=not previews,
        stamp=stamp,
    )
    return result_reply(message.id, result)


def _invalid(code: str, detail: str) -> BadRequest:
    return BadRequest(code, detail, rpc_code=INVALID_PARAMS)
