"""An MCP server over HTTP (2025-11-25) that shows its credential in whatever way a test wants."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

DEFINITION: dict[str, Any] = {
    "name": "echo",
    "inputSchema": {"type": "object", "properties": {}},
}
INITIALIZED = {
    "protocolVersion": "2025-11-25",
    "capabilities": {"tools": {}, "logging": {}},
    "serverInfo": {"name": "echoing", "version": "1"},
}

Frames = list[dict[str, Any]]
Says = Callable[[str], tuple[Frames, dict[str, Any]]]


def text_result(*texts: str) -> dict[str, Any]:
    """Return a result of these text items."""
    return {"result": {"content": [{"type": "text", "text": text} for text in texts]}}


def saying(frames: Frames, answer: dict[str, Any]) -> Says:
    """Return what says the same whatever the credential."""
    return lambda _: (frames, answer)


def echoing(
    answer: Callable[[str], dict[str, Any]], frames: Callable[[str], Frames] = lambda _: []
) -> Says:
    """Return what makes its frames and its answer of the credential."""
    return lambda secret: (frames(secret), answer(secret))


@dataclass
class EchoingMcp:
    """The server. `says` gets its credential and returns frames and the members of its answer.

    Frames are sent as progress (`{"progress": text}`) or log messages (`{"data": …}`); with
    `chunk_bytes` the whole stream is cut into pieces of that size.
    """

    says: Says = lambda _: ([], text_result("nothing"))
    chunk_bytes: int = 0
    calls: int = 0
    port: int = 0
    credentials: list[str] = field(default_factory=list)
    _runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """Its endpoint."""
        return f"http://127.0.0.1:{self.port}/mcp"

    async def start(self) -> "EchoingMcp":
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

    async def _post(self, request: web.Request) -> web.StreamResponse:
        message = await request.json()
        if "id" not in message:
            return web.Response(status=202)
        if message["method"] == "tools/call":
            return await self._call(request, message)
        known = {"initialize": INITIALIZED, "tools/list": {"tools": [DEFINITION]}}
        result = known.get(message["method"])
        answer = {"result": result} if result else {"error": {"code": -32601, "message": "no"}}
        reply = {"jsonrpc": "2.0", "id": message["id"], **answer}
        return web.json_response(reply, headers={"Mcp-Session-Id": "echoing"})

    async def _call(self, request: web.Request, message: dict[str, Any]) -> web.StreamResponse:
        self.calls += 1
        credential = request.headers.get("Authorization", "").removeprefix("Bearer ")
        self.credentials.append(credential)
        frames, answer = self.says(credential)
        token = message["params"].get("_meta", {}).get("progressToken")
        events = [_frame(one, token, number) for number, one in enumerate(frames)]
        events.append({"jsonrpc": "2.0", "id": message["id"], **answer})
        raw = b"".join(b"data: " + json.dumps(one).encode() + b"\n\n" for one in events)
        stream = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await stream.prepare(request)
        step = self.chunk_bytes or len(raw)
        for start in range(0, len(raw), step):
            await stream.write(raw[start : start + step])
        return stream


def _frame(said: dict[str, Any], token: Any, number: int) -> dict[str, Any]:
    if "progress" in said:
        params = {"progressToken": token, "progress": number, "message": said["progress"]}
        return {"jsonrpc": "2.0", "method": "notifications/progress", "params": params}
    params = {"level": "info", "logger": "echo", **said}
    return {"jsonrpc": "2.0", "method": "notifications/message", "params": params}
