"""Tools that remember: whatever state of one client they are given for another, they show.

A REST service that echoes and sets cookies, and an MCP server (2025-11-25) whose every session says
all that was ever said in it, in results, progress, log messages and on its GET stream.
"""

import asyncio
import json
import random
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

REMEMBER: dict[str, Any] = {
    "name": "remember",
    "inputSchema": {
        "type": "object",
        "properties": {"text": {"type": "string"}},
        "required": ["text"],
    },
}
INITIALIZED = {
    "protocolVersion": "2025-11-25",
    "capabilities": {"tools": {}, "logging": {}},
    "serverInfo": {"name": "hoarder", "version": "1"},
}
MAX_DELAY_S = 0.02


@dataclass
class Hoarder:
    """Both services at one port; `sessions` is what was said in each MCP session."""

    port: int = 0
    requests: int = 0
    opened: int = 0
    sessions: dict[str, list[str]] = field(default_factory=dict)
    _streams: dict[str, web.StreamResponse] = field(default_factory=dict)
    _chance: random.Random = field(default_factory=lambda: random.Random(7))
    _runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """The REST service."""
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> "Hoarder":
        """Listen on a free port."""
        app = web.Application()
        app.router.add_post("/mcp", self._post)
        app.router.add_get("/mcp", self._listen)
        app.router.add_delete("/mcp", self._end)
        app.router.add_route("*", "/{tail:.*}", self._echo)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def stop(self) -> None:
        """Close everything."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _pause(self) -> None:
        await asyncio.sleep(self._chance.random() * MAX_DELAY_S)

    async def _echo(self, request: web.Request) -> web.Response:
        self.requests += 1
        said = (await request.read()).decode()
        await self._pause()
        answer = {"said": said, "path": request.path_qs, "cookie": request.headers.get("Cookie")}
        headers = {"Set-Cookie": "last=" + said.encode().hex(), "ETag": f'"{len(said)}"'}
        return web.json_response(answer, headers=headers)

    async def _post(self, request: web.Request) -> web.StreamResponse:
        self.requests += 1
        message = await request.json()
        await self._pause()
        if message.get("method") == "initialize":
            self.opened += 1
            session = f"hoard-{self.opened}"
            self.sessions[session] = []
            return _reply(message, INITIALIZED, session)
        session = request.headers.get("Mcp-Session-Id", "")
        if session not in self.sessions:
            return web.Response(status=404)
        if "id" not in message:
            return web.Response(status=202)
        if message["method"] == "tools/call":
            return await self._remember(request, message, session)
        known = {"tools/list": {"tools": [REMEMBER]}}
        return _reply(message, known.get(message["method"], {}), session)

    async def _remember(
        self, request: web.Request, message: dict[str, Any], session: str
    ) -> web.StreamResponse:
        said = self.sessions[session]
        said.append(message["params"]["arguments"]["text"])
        everything = " ".join(said)
        token = message["params"].get("_meta", {}).get("progressToken")
        told = [_told(everything)]
        if token is not None:
            told.append(_progress(token, everything))
        if stream := self._streams.get(session):
            with suppress(ConnectionError):
                await stream.write(_event(_told(everything)))
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        result = {"content": [{"type": "text", "text": everything}]}
        told.append({"jsonrpc": "2.0", "id": message["id"], "result": result})
        with suppress(ConnectionError):  # a call that was killed has nobody listening
            await answer.prepare(request)
            for one in told:
                await self._pause()
                await answer.write(_event(one))
        return answer

    async def _listen(self, request: web.Request) -> web.StreamResponse:
        session = request.headers.get("Mcp-Session-Id", "")
        if session not in self.sessions:
            return web.Response(status=404)
        stream = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await stream.prepare(request)
        await stream.write(b": here\n\n")
        self._streams[session] = stream
        try:
            while request.transport is not None and not request.transport.is_closing():
                await asyncio.sleep(0.2)
        finally:
            self._streams.pop(session, None)
        return stream

    async def _end(self, request: web.Request) -> web.Response:
        self.sessions.pop(request.headers.get("Mcp-Session-Id", ""), None)
        return web.Response(status=204)


def _reply(message: dict[str, Any], result: dict[str, Any], session: str) -> web.Response:
    document = {"jsonrpc": "2.0", "id": message["id"], "result": result}
    return web.json_response(document, headers={"Mcp-Session-Id": session})


def _told(text: str) -> dict[str, Any]:
    params = {"level": "info", "logger": "hoarder", "data": text}
    return {"jsonrpc": "2.0", "method": "notifications/message", "params": params}


def _progress(token: Any, text: str) -> dict[str, Any]:
    params = {"progressToken": token, "progress": 1, "message": text}
    return {"jsonrpc": "2.0", "method": "notifications/progress", "params": params}


def _event(message: dict[str, Any]) -> bytes:
    return b"event: message\ndata: " + json.dumps(message).encode() + b"\n\n"
