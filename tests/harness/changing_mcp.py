"""An MCP server over HTTP (2025-11-25) whose tool definitions a test can change at any moment."""

import asyncio
import contextlib
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import rfc8785
from aiohttp import web

DEFINITION: dict[str, Any] = {
    "name": "lookup",
    "title": "Look up",
    "description": "Looks something up.",
    "inputSchema": {
        "type": "object",
        "properties": {"q": {"type": "string"}},
        "required": ["q"],
    },
    "outputSchema": {"type": "object", "properties": {"found": {"type": "string"}}},
    "annotations": {"readOnlyHint": True},
    "icons": [{"src": "https://example.org/i.png"}],
    "_meta": {"vendor/rank": 1},
}


def pin_of(definition: dict[str, Any]) -> str:
    """Return the pin a reviewer would have committed."""
    return "sha256:" + hashlib.sha256(rfc8785.dumps(definition)).hexdigest()


@dataclass
class ChangingMcp:
    """The server, its definition now, and the calls it got."""

    definition: dict[str, Any] = field(default_factory=lambda: json.loads(json.dumps(DEFINITION)))
    calls: list[dict[str, Any]] = field(default_factory=list)
    more: list[dict[str, Any]] = field(default_factory=list)
    answer: dict[str, Any] = field(
        default_factory=lambda: {"content": [{"type": "text", "text": "found"}], "isError": False}
    )
    lists: int = 0
    by_list: Callable[[int], list[dict[str, Any]]] | None = None
    slow_s: float = 0.0
    port: int = 0
    _streams: set[web.StreamResponse] = field(default_factory=set)
    _runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """Its endpoint."""
        return f"http://127.0.0.1:{self.port}/mcp"

    async def start(self) -> "ChangingMcp":
        """Listen on a free port."""
        app = web.Application()
        app.router.add_post("/mcp", self._post)
        app.router.add_get("/mcp", self._stream)
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

    async def say_changed(self, times: int = 1) -> None:
        """Send list_changed on every open stream."""
        message = {"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}
        event = f"event: message\ndata: {json.dumps(message)}\n\n".encode()
        for stream in tuple(self._streams):
            for _ in range(times):
                await stream.write(event)

    async def listening(self) -> None:
        """Wait until somebody listens to this server."""
        async with asyncio.timeout(10):
            while not self._streams:
                await asyncio.sleep(0.01)

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        stream = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await stream.prepare(request)
        self._streams.add(stream)
        try:
            with contextlib.suppress(ConnectionError):
                while True:
                    await asyncio.sleep(1)
                    await stream.write(b": still here\n\n")
        finally:
            self._streams.discard(stream)
        return stream

    async def _post(self, request: web.Request) -> web.Response:
        message = await request.json()
        if "id" not in message:
            return web.Response(status=202)
        if message["method"] == "tools/list":
            await asyncio.sleep(self.slow_s)
        result = self._result(message["method"], message.get("params", {}))
        known = {"result": result} if result else {"error": {"code": -32601, "message": "no"}}
        reply = {"jsonrpc": "2.0", "id": message["id"], **known}
        return web.json_response(reply, headers={"Mcp-Session-Id": "changing"})

    def _result(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        if method == "initialize":
            return {
                "protocolVersion": "2025-11-25",
                "capabilities": {"tools": {"listChanged": True}},
                "serverInfo": {"name": "changing", "version": "1"},
            }
        if method == "tools/list":
            self.lists += 1
            offered = [self.definition, *self.more]
            return {"tools": self.by_list(self.lists) if self.by_list else offered}
        if method != "tools/call":
            return {}
        self.calls.append(params)
        return self.answer
