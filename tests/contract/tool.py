"""A tool for the contract of upstreams, as MCP over stdio, or as MCP and plain HTTP on one port.

Usage: tool.py LOG [PORT]. Each thing that reaches it becomes a line of LOG: `<text> <what>`.
"""

import asyncio
import os
import sys
from pathlib import Path

import uvicorn
from mcp.server.mcpserver import MCPServer
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

server = MCPServer("tool")
log = Path(sys.argv[1])


def note(text: str, what: str) -> None:
    with log.open("a") as lines:
        lines.write(f"{text} {what}\n")


@server.tool()
async def echo(text: str, number: float = 0) -> str:
    """Return the text."""
    note(text, f"echo:{float(number)}")
    return text


@server.tool()
async def wait(text: str) -> str:
    """Work for a minute."""
    note(text, "began")
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        note(text, "told")
        raise
    return text


@server.tool()
async def die(text: str) -> str:
    """End the whole server."""
    note(text, "died")
    os._exit(9)


@server.tool()
async def fail(text: str) -> str:
    """Report a failure."""
    note(text, "failed")
    raise ValueError(text)


async def plain_echo(request: Request) -> Response:
    return JSONResponse(await echo(**await request.json()))


async def plain_wait(request: Request) -> Response:
    waiting = asyncio.create_task(wait(**await request.json()))
    while not await request.is_disconnected():
        await asyncio.sleep(0.01)
    waiting.cancel()
    return Response()


async def plain_die(request: Request) -> Response:
    return JSONResponse(await die(**await request.json()))


async def plain_fail(request: Request) -> Response:
    note((await request.json())["text"], "failed")
    return JSONResponse({"why": "asked to"}, 409)


if len(sys.argv) > 2:
    app = server.streamable_http_app()
    for plain in (plain_echo, plain_wait, plain_die, plain_fail):
        path = plain.__name__.replace("plain_", "/")
        app.router.routes.append(Route(path, plain, methods=["POST"]))
    uvicorn.run(app, port=int(sys.argv[2]), log_level="error")
else:
    server.run("stdio")
