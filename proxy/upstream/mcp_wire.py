"""The Model Context Protocol as both transports speak it, in its two eras.

2025-11-25 and earlier: `initialize`, then `notifications/initialized`. 2026-07-28: no handshake;
each request carries protocol version, capabilities and client in `params._meta`.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol

from proxy.errors import OutcomeUnknown, UpstreamFailed
from proxy.model.json_text import object_of
from proxy.model.mcp import Era
from proxy.model.tool import ToolDefinition
from proxy.upstream.base import UpstreamResult
from proxy.upstream.definitions import definitions_of
from proxy.upstream.jsonrpc import Message, dumps

HANDSHAKE_VERSIONS = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")
STATELESS_VERSION = "2026-07-28"
MAX_PAGES = 100
MAX_TOOLS = 10_000
LOG_LEVEL = "io.modelcontextprotocol/logLevel"
SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId"
_CAPABILITIES = "io.modelcontextprotocol/clientCapabilities"
_CLIENT = {"name": "detent", "version": "0"}
_META = {
    "io.modelcontextprotocol/protocolVersion": dumps(STATELESS_VERSION).decode(),
    "io.modelcontextprotocol/clientInfo": dumps(_CLIENT).decode(),
}


@dataclass(frozen=True, slots=True)
class Spoken:
    """What was agreed with a server: the era, and the protocol version."""

    era: Era
    version: str


STATELESS = Spoken(Era.STATELESS, STATELESS_VERSION)

Ask = Callable[[str, bytes], Awaitable[Message]]


def protocol_meta(capabilities: Mapping[str, Any]) -> dict[str, str]:
    """Return what `_meta` of every stateless request has: names and JSON texts."""
    return {**_META, _CAPABILITIES: dumps(dict(capabilities)).decode()}


def params(era: Era, members: bytes = b"") -> bytes:
    """Return a params object of our own with these members, and what the era wants in each."""
    meta = b'"_meta":' + object_of(protocol_meta({})).encode() if era is Era.STATELESS else b""
    return b"{" + b",".join(part for part in (members, meta) if part) + b"}"


def initialize_params(capabilities: Mapping[str, Any]) -> bytes:
    """Return the params of initialize for a client that can do this much."""
    asked = {"protocolVersion": HANDSHAKE_VERSIONS[0], "capabilities": dict(capabilities)}
    return dumps({**asked, "clientInfo": _CLIENT})


def cancelled_params(era: Era, number: int) -> bytes:
    """Return the params of notifications/cancelled for one of our requests."""
    return params(era, b'"requestId":%d,"reason":"cancelled by the gateway"' % number)


class Speaker(Protocol):
    """A transport while it agrees with a server on a version."""

    async def ask(self, spoken: Spoken | None, method: str, params: bytes, /) -> Message:
        """Return the answer to one request. Raises UpstreamFailed, OutcomeUnknown."""
        ...

    async def tell(self, spoken: Spoken, method: str, /) -> None:
        """Send one notification. Raises UpstreamFailed, OutcomeUnknown."""
        ...


async def agree(
    speaker: Speaker, eras: Sequence[Era], capabilities: Mapping[str, Any] = MappingProxyType({})
) -> Spoken:
    """Agree on the first of `eras` the server speaks. Raises UpstreamFailed, OutcomeUnknown.

    A server that answers the way of one era with an error is asked in the way of the next.
    """
    for era in eras:
        if era is Era.HANDSHAKE:
            spoken = await initialize(speaker, capabilities)
        else:
            spoken = await discover(speaker)
        if spoken is not None:
            return spoken
    raise UpstreamFailed("it speaks no version of MCP that Detent speaks")


async def initialize(speaker: Speaker, capabilities: Mapping[str, Any]) -> Spoken | None:
    """Shake hands for a client that can do this much; None when the server does not."""
    result = (await speaker.ask(None, "initialize", initialize_params(capabilities))).result
    version = result.get("protocolVersion") if isinstance(result, dict) else None
    if version not in HANDSHAKE_VERSIONS:
        return None
    spoken = Spoken(Era.HANDSHAKE, version)
    await speaker.tell(spoken, "notifications/initialized")
    return spoken


async def discover(speaker: Speaker) -> Spoken | None:
    """Ask a server whether it needs no handshake; None when it does."""
    asked = params(Era.STATELESS)
    result = (await speaker.ask(STATELESS, "server/discover", asked)).result
    offered = result.get("supportedVersions") if isinstance(result, dict) else None
    return STATELESS if isinstance(offered, list) and STATELESS_VERSION in offered else None


async def list_tools(server: str, era: Era, ask: Ask) -> tuple[ToolDefinition, ...]:
    """Return every tool of a server, over as many pages as it takes. Raises UpstreamFailed."""
    tools: list[Any] = []
    seen: set[str] = set()
    members = b""
    for _ in range(MAX_PAGES):
        page, cursor = _page(await ask("tools/list", params(era, members)))
        tools += page
        if cursor is None:
            return definitions_of(server, tools)
        if cursor in seen or len(tools) > MAX_TOOLS:
            break
        seen.add(cursor)
        members = b'"cursor":' + dumps(cursor)
    raise UpstreamFailed("its list of tools does not end")


def result_of(answer: Message, era: Era) -> UpstreamResult:
    """Return what an answer says, in the server's own text. Raises OutcomeUnknown."""
    if answer.error is not None:
        return UpstreamResult(answer.raw, is_error=True, is_rpc_error=True)
    if not isinstance(answer.result, dict):
        raise OutcomeUnknown("its answer is not a result")
    asks = era is Era.STATELESS and answer.result.get("resultType") == "input_required"
    is_error = answer.result.get("isError") is True and not asks
    task_id = _task_of(answer.result)
    return UpstreamResult(answer.raw, is_error=is_error, needs_input=asks, task_id=task_id)


def _task_of(result: dict[str, Any]) -> str | None:
    """Return the id of the task a result says was created, None when it says no such thing.

    MCP 2025-11-25 (tasks) has it in `task`; since 2026-07-28 (tasks extension) the result is it.
    """
    task = result if result.get("resultType") == "task" else result.get("task")
    if not isinstance(task, dict):
        return None
    task_id = task.get("taskId")
    return task_id if isinstance(task_id, str) else ""


def _page(answer: Message) -> tuple[list[Any], str | None]:
    if answer.error is not None:
        raise UpstreamFailed(f"it does not list its tools (error {answer.error.code})")
    result = answer.result
    tools = result.get("tools") if isinstance(result, dict) else None
    cursor = result.get("nextCursor") if isinstance(result, dict) else None
    if not isinstance(tools, list) or not isinstance(cursor, str | None):
        raise UpstreamFailed("its list of tools is not one")
    return tools, cursor
