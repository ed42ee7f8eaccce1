"""A server that talks while it works, as MCP over stdio or over HTTP, in both eras.

Usage: server.py LOG [PORT]. What happens in it becomes a line of LOG: `<text> <what> <seconds>`.
"""

import asyncio
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import uvicorn
from mcp.server import ServerRequestContext
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.streamable_http import EventCallback, EventId, EventMessage, EventStore, StreamId
from mcp.shared.exceptions import MCPDeprecationWarning, MCPError
from mcp_types import (
    CreateMessageRequest,
    CreateMessageRequestParams,
    CreateMessageResult,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    EmptyResult,
    InputRequiredResult,
    JSONRPCMessage,
    ListRootsRequest,
    ListRootsResult,
    SamplingMessage,
    SetLevelRequestParams,
    SubscribeRequestParams,
    TextContent,
    UnsubscribeRequestParams,
)
from pydantic import BaseModel

warnings.simplefilter("ignore", MCPDeprecationWarning)

STATELESS = "2026-07-28"
server = MCPServer("talker")
log = Path(sys.argv[1])
subscribed: dict[str, dict[int, Any]] = {}
levels: dict[int, str] = {}


class Name(BaseModel):
    """What is elicited."""

    name: str


class Events(EventStore):
    """Keeps every event, so that a stream can be picked up again."""

    def __init__(self) -> None:
        self.kept: list[tuple[StreamId, JSONRPCMessage | None]] = []

    async def store_event(self, stream_id: StreamId, message: JSONRPCMessage | None) -> EventId:
        self.kept.append((stream_id, message))
        return str(len(self.kept))

    async def replay_events_after(
        self, last_event_id: EventId, send_callback: EventCallback
    ) -> StreamId | None:
        stream, _ = self.kept[int(last_event_id) - 1]
        for number, (one, message) in enumerate(self.kept, 1):
            if one == stream and number > int(last_event_id) and message is not None:
                await send_callback(EventMessage(message, str(number)))
        return stream


def connection_of(ctx: Any) -> int:
    """Return what tells one client's connection from another's."""
    return id(ctx.session._connection)


def note(text: str, what: str) -> None:
    with log.open("a") as lines:
        lines.write(f"{text} {what} {time.monotonic()}\n")


@server.tool()
async def ready() -> str:
    """Say that the server runs."""
    return "ready"


@server.tool()
async def progress(steps: int, ctx: Context) -> str:
    """Report every step."""
    for step in range(steps):
        await ctx.report_progress(step, steps, f"step {step}")
    return "done"


@server.tool()
async def chat(ctx: Context) -> str:
    """Log one message of each of three levels."""
    floor = levels.get(connection_of(ctx), "debug")
    for level in ("debug", "info", "error"):
        if floor != "error" or level == "error":
            await ctx.log(level, {"at": 1.0}, logger_name="talker")
    return "done"


@server.tool()
async def numbers() -> dict[str, Any]:
    """Return numbers that a parser would spell otherwise."""
    return {"whole": 1.0, "large": 12345678901234567890, "exponent": 1e22, "nested": [0.1, 2.0]}


@server.tool()
async def refuse() -> str:
    """Answer with a JSON-RPC error."""
    raise MCPError(-32042, "not today", {"retryAfter": 1.0})


@server.tool()
async def hang(text: str, ctx: Context) -> str:
    """Work for a minute, after having said that it has begun."""
    note(text, "began")
    try:
        await ctx.report_progress(0, 1, text)
        await asyncio.sleep(60)
    finally:
        note(text, "ended")
    return text


def question() -> ElicitRequest:
    schema = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
    return ElicitRequest(params=ElicitRequestFormParams(message="Who?", requested_schema=schema))


def wish(text: str) -> CreateMessageRequestParams:
    content = TextContent(type="text", text=text)
    return CreateMessageRequestParams(
        messages=[SamplingMessage(role="user", content=content)], max_tokens=5
    )


@server.tool()
async def elicit(ctx: Context) -> str | InputRequiredResult:
    """Ask who is there."""
    if ctx.protocol_version != STATELESS:
        said = await ctx.elicit("Who?", Name)
        return f"hello {said.data.name}" if said.action == "accept" else said.action
    if not ctx.input_responses:
        return InputRequiredResult(input_requests={"who": question()}, request_state='asked: é"1')
    answer = ctx.input_responses["who"]
    assert ctx.request_state == 'asked: é"1'
    assert isinstance(answer, ElicitResult)
    return f"hello {(answer.content or {})['name']}" if answer.action == "accept" else answer.action


@server.tool()
async def sample(text: str, ctx: Context, outside: bool = False) -> str | InputRequiredResult:
    """Let the client's model speak; `outside`: without naming this call."""
    if ctx.protocol_version != STATELESS:
        made = await ctx.session.create_message(
            messages=wish(text).messages,
            max_tokens=5,
            related_request_id=None if outside else ctx.request_id,
        )
        assert isinstance(made, CreateMessageResult)
        return str(getattr(made.content, "text", ""))
    if not ctx.input_responses:
        return InputRequiredResult(input_requests={"say": CreateMessageRequest(params=wish(text))})
    answer = ctx.input_responses["say"]
    assert isinstance(answer, CreateMessageResult)
    return str(getattr(answer.content, "text", ""))


@server.tool()
async def insist(ctx: Context) -> str | InputRequiredResult:
    """Ask for the roots again and again."""
    if ctx.protocol_version != STATELESS:
        while True:
            note("insist", str(len((await ctx.session.list_roots()).roots)))
    answer = (ctx.input_responses or {}).get("roots")
    note("insist", str(len(answer.roots)) if isinstance(answer, ListRootsResult) else "first")
    return InputRequiredResult(input_requests={"roots": ListRootsRequest()})


@server.tool()
async def capabilities(ctx: Context) -> dict[str, Any]:
    """Return what the client is said to be able to do."""
    known = ctx.client_capabilities
    return known.model_dump(by_alias=True, exclude_none=True) if known else {}


@server.tool()
async def touch(uri: str, ctx: Context) -> str:
    """Say that a resource was updated, to whom it concerns."""
    await ctx.notify_resource_updated(uri)
    for session in subscribed.get(uri, {}).values():
        await session.send_resource_updated(uri)
    return "touched"


@server.tool()
async def change(ctx: Context) -> str:
    """Say that the lists changed."""
    await ctx.notify_tools_changed()
    if ctx.protocol_version != STATELESS:
        await ctx.session.send_tool_list_changed()
    return "changed"


@server.tool()
async def leave(ctx: Context) -> str:
    """Close the stream of this call, and go on."""
    await ctx.report_progress(1, 3, "before")
    await ctx.close_sse_stream()
    await asyncio.sleep(0.3)
    await ctx.report_progress(2, 3, "after")
    return "came back"


@server.resource("note://{name}")
async def read_note(name: str) -> str:
    """Return a note."""
    return f"the note {name}"


@server.prompt()
async def greet(name: str) -> str:
    """Return a greeting."""
    return f"Greet {name}."


async def subscribe(ctx: ServerRequestContext[Any], params: SubscribeRequestParams) -> EmptyResult:
    note(str(params.uri), "subscribed")
    subscribed.setdefault(str(params.uri), {})[connection_of(ctx)] = ctx.session
    return EmptyResult()


async def unsubscribe(
    ctx: ServerRequestContext[Any], params: UnsubscribeRequestParams
) -> EmptyResult:
    note(str(params.uri), "unsubscribed")
    subscribed.get(str(params.uri), {}).pop(connection_of(ctx), None)
    return EmptyResult()


async def set_level(ctx: ServerRequestContext[Any], params: SetLevelRequestParams) -> EmptyResult:
    note(params.level, "level")
    levels[connection_of(ctx)] = params.level
    return EmptyResult()


lowlevel = server._lowlevel_server
lowlevel.add_request_handler("resources/subscribe", SubscribeRequestParams, subscribe)
lowlevel.add_request_handler("resources/unsubscribe", UnsubscribeRequestParams, unsubscribe)
lowlevel.add_request_handler("logging/setLevel", SetLevelRequestParams, set_level)

if len(sys.argv) > 2:
    app = server.streamable_http_app(event_store=Events(), retry_interval=50)
    uvicorn.run(app, port=int(sys.argv[2]), log_level="error")
else:
    server.run("stdio")
