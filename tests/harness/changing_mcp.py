"""An MCP server over HTTP (2025-11-25) whose tool definitions a test can change at any moment."""

import hashlib
import json
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
    port: int = 0
    _runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """Its endpoint."""
        return f"http://127.0.0.1:{self.port}/mcp"

    async def start(self) -> "ChangingMcp":
        """Listen on a free port."""
        app = web.Application()
        app.router.add_post("/mcp", self._post)
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

    async def _post(self, request: web.Request) -> web.Response:
        message = await request.json()
        if "id" not in message:
            return web.Response(status=202)
        result = self._result(message["method"], message.get("params", {}))
        reply = {"jsonrpc": "2.0", "id": message["id"], "result": result}
        return web.json_response(reply, headers={"Mcp-Session-Id": "changing"})

    def _result(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        if method == "initialize":
            return {
                "protocolVersion": "2025-11-25",
                "capabilities": {"tools": {"listChanged": True}},
                "serverInfo": {"name": "changing", "version": "1"},
            }
        if method == "tools/list":
            return {"tools": [self.definition]}
        self.calls.append(params)
        return {"content": [{"type": "text", "text": "found"}], "isError": False}
