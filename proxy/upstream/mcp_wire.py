"""The Model Context Protocol as both transports speak it, in its two eras.

2025-11-25 and earlier: `initialize`, then `notifications/initialized`. 2026-07-28: no handshake;
each request carries protocol version, capabilities and client in `params._meta`.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from proxy.errors import OutcomeUnknown, UpstreamFailed
from proxy.model.mcp import Era
from proxy.model.tool import ToolDefinition
from proxy.upstream.base import UpstreamResult
from proxy.upstream.definitions import definitions_of
from proxy.upstream.jsonrpc import Message, dumps

HANDSHAKE_VERSIONS = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")
STATELESS_VERSION = "2026-07-28"
MAX_PAGES = 100
MAX_TOOLS = 10_000
_CLIENT = {"name": "detent", "version": "0"}


@dataclass(frozen=True, slots=True)
class Spoken:
    """What was agreed with a server: the era, and the protocol version."""

    era: Era
    version: str


_STATELESS = Spoken(Era.STATELESS, STATELESS_VERSION)
_META = dumps(
    {
        "io.modelcontextprotocol/protocolVersion": STATELESS_VERSION,
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": _CLIENT,
    }
)
_INITIALIZE = dumps(
    {"protocolVersion": HANDSHAKE_VERSIONS[0], "capabilities": {}, "clientInfo": _CLIENT}
)

Ask = Callable[[str, bytes], Awaitable[Message]]


def params(era: Era, members: bytes = b"") -> bytes:
    """Return a params object with these members, and what the era wants in each request."""
    meta = b'"_meta":' + _META if era is Era.STATELESS else b""
    return b"{" + b",".join(part for part in (members, meta) if part) + b"}"


def call_params(era: Era, tool: str, arguments: bytes) -> bytes:
    """Return the params of tools/call; `arguments` are spliced in as they are."""
    return params(era, b'"name":%b,"arguments":%b' % (dumps(tool), arguments))


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


async def agree(speaker: Speaker, eras: Sequence[Era]) -> Spoken:
    """Agree on the first of `eras` the server speaks. Raises UpstreamFailed, OutcomeUnknown.

    A server that answers the way of one era with an error is asked in the way of the next.
    """
    for era in eras:
        spoken = await (_initialize if era is Era.HANDSHAKE else _discover)(speaker)
        if spoken is not None:
            return spoken
    raise UpstreamFailed("it speaks no version of MCP that Detent speaks")


async def _initialize(speaker: Speaker) -> Spoken | None:
    result = (await speaker.ask(None, "initialize", _INITIALIZE)).result
    version = result.get("protocolVersion") if isinstance(result, dict) else None
    if version not in HANDSHAKE_VERSIONS:
        return None
    spoken = Spoken(Era.HANDSHAKE, version)
    await speaker.tell(spoken, "notifications/initialized")
    return spoken


async def _discover(speaker: Speaker) -> Spoken | None:
    asked = params(Era.STATELESS)
    result = (await speaker.ask(_STATELESS, "server/discover", asked)).result
    offered = result.get("supportedVersions") if isinstance(result, dict) else None
    return _STATELESS if isinstance(offered, list) and STATELESS_VERSION in offered else None


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


def result_of(answer: Message) -> UpstreamResult:
    """Return what an answer to tools/call says. Raises UpstreamFailed, OutcomeUnknown.

    A JSON-RPC error becomes a CallToolResult with `isError`, so that the caller can read it.
    """
    if answer.error is not None:
        said = {"content": [{"type": "text", "text": answer.error.message}], "isError": True}
        return UpstreamResult(dumps(said), is_error=True)
    result = answer.result
    if not isinstance(result, dict):
        raise OutcomeUnknown("its answer is not a CallToolResult")
    if result.get("resultType") == "input_required":
        raise UpstreamFailed("it wants more input before it acts; that is not supported")
    return UpstreamResult(dumps(result), is_error=result.get("isError") is True)


def _page(answer: Message) -> tuple[list[Any], str | None]:
    if answer.error is not None:
        raise UpstreamFailed(f"it does not list its tools (error {answer.error.code})")
    result = answer.result
    tools = result.get("tools") if isinstance(result, dict) else None
    cursor = result.get("nextCursor") if isinstance(result, dict) else None
    if not isinstance(tools, list) or not isinstance(cursor, str | None):
        raise UpstreamFailed("its list of tools is not one")
    return tools, cursor
