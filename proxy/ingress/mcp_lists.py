"""Lists: of tools, which the gateway answers itself, and those merged over several servers."""

import json
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from proxy.errors import BadRequest
from proxy.ingress.base import Gate
from proxy.ingress.jsonrpc import INVALID_PARAMS, Message
from proxy.ingress.mcp_aggregate import LISTS, joined_item
from proxy.ingress.mcp_names import joined_name
from proxy.ingress.mcp_results import Stamp, cached, finished, method_reply
from proxy.model.json_text import array_of, items_of, object_of, string_of, texts_of
from proxy.model.mcp import RpcReply
from proxy.model.session import Mode
from proxy.model.step import Answer
from proxy.pipeline.authenticate import Caller
from proxy.pipeline.visible import VisibleTool

MAX_PAGES = 100
MAX_ITEMS = 10_000

Run = Callable[[str, dict[str, Any]], Awaitable[Answer]]


async def list_tools(
    gate: Gate, caller: Caller, server: str | None, message: Message, stamp: Stamp
) -> RpcReply:
    """Return what answers tools/list; there is one page. Raises BadRequest, Refused.

    In a dry run outputSchema is not shown: previews would not fit it.
    """
    check_first_page(message)
    previews = caller.session.mode is Mode.DRY_RUN or caller.principal.dry_run
    tools = _shown(
        await gate.visible(caller, server), aggregated=server is None, with_output=not previews
    )
    members = cached("tools/list", {"tools": array_of(tools)}, stamp)
    return RpcReply(result=finished(members, {}, stamp))


def check_first_page(message: Message) -> None:
    """Raise BadRequest for a cursor where there is one page."""
    if message.params.get("cursor") is not None:
        raise BadRequest(
            "invalid-cursor", "There is one page; send no cursor.", rpc_code=INVALID_PARAMS
        )


def _shown(tools: Iterable[VisibleTool], *, aggregated: bool, with_output: bool) -> Iterable[str]:
    """Give definitions as their servers have them.

    Aggregated lists join server and tool into one name; tools that name cannot be told apart by
    are left out.
    """
    for tool in tools:
        name = joined_name(tool.server, tool.definition.name) if aggregated else None
        if aggregated and name is None:
            continue
        members = texts_of(tool.definition.raw) or {}
        if name is not None:
            members["name"] = json.dumps(name)
        if not with_output:
            members.pop("outputSchema", None)
        yield object_of(members)


async def merged_list(method: str, servers: Iterable[str], run: Run, stamp: Stamp) -> RpcReply:
    """Return the lists of several servers as one page, with joined names.

    What a server does not list, because of policy or of its own, is left out; when none lists
    anything for such a reason, the first of these is the answer.
    """
    items: list[str] = []
    reasons: list[RpcReply] = []
    any_listed = False
    for server in servers:
        found, reason = await _pages(method, server, run, MAX_ITEMS - len(items))
        items += (joined for item in found if (joined := joined_item(method, server, item)))
        reasons += [reason] if reason else []
        any_listed = any_listed or reason is None or bool(found)
    if reasons and not any_listed:
        return reasons[0]
    member, _ = LISTS[method]
    members = cached(method, {member: array_of(items)}, stamp)
    return RpcReply(result=finished(members, {}, stamp))


async def _pages(
    method: str, server: str, run: Run, room: int
) -> tuple[list[str], RpcReply | None]:
    """Return the items of all pages of a server, and why there are no more if it did not end."""
    items: list[str] = []
    params: dict[str, Any] = {}
    for _ in range(MAX_PAGES):
        reply = method_reply(method, await run(server, params), None)
        if reply.result is None:
            return items, reply
        members = texts_of(reply.result) or {}
        items += items_of(members.get(LISTS[method][0], "")) or []
        cursor = string_of(members.get("nextCursor"))
        if cursor is None or params.get("cursor") == cursor or len(items) >= room:
            break
        params = {"cursor": cursor}
    return items[:room], None
