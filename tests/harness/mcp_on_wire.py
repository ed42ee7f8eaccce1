"""An MCP server on the recorded wire, in either era, well-behaved unless a test says otherwise."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from tests.harness.wire import Received, Wire, answer


@dataclass
class McpServer:
    """An MCP server on the recorded wire; `on_call` writes the answer to tools/call."""

    wire: Wire
    stateless: bool = False
    session: str = "session-1"
    sse: bool = False
    on_call: Callable[[dict[str, Any], asyncio.StreamWriter], Awaitable[None]] | None = None

    def heard(self, method: str) -> list[Received]:
        """Return the requests with that JSON-RPC method."""
        bodies = [one for one in self.wire.requests if one.body]
        return [one for one in bodies if json.loads(one.body).get("method") == method]

    def reply(self, message: dict[str, Any], **members: Any) -> bytes:
        """Return a whole answer to one message, as JSON or as a stream."""
        body = json.dumps({"jsonrpc": "2.0", "id": message["id"], **members}).encode()
        fields = {"mcp_session_id": self.session} if self.session else {}
        if self.sse:
            return answer(event(body), 200, content_type="text/event-stream", **fields)
        return answer(body, 200, **fields)

    async def handle(self, received: Received, writer: asyncio.StreamWriter) -> None:
        """Answer one POST or DELETE."""
        message = json.loads(received.body or b"{}")
        method = message.get("method", "")
        if method == "tools/call" and self.on_call is not None:
            await self.on_call(message, writer)
        elif "id" not in message or "method" not in message:
            writer.write(answer(b"", 202))
        elif (method == "initialize" and self.stateless) or (
            method == "server/discover" and not self.stateless
        ):
            error = {"code": -32022, "message": "another era"}
            body = {"jsonrpc": "2.0", "id": None, "error": error}
            writer.write(answer(json.dumps(body).encode(), 400))
        else:
            writer.write(self.reply(message, result=RESULTS[method]))


def event(data: bytes) -> bytes:
    """Return one server-sent event."""
    return b"event: message\r\ndata: " + data + b"\r\n\r\n"


MARKED = {"type": "object", "properties": {"x": {"type": "string", "x-mcp-header": "X"}}}
RESULTS: dict[str, Any] = {
    "initialize": {"protocolVersion": "2025-06-18", "capabilities": {}},
    "server/discover": {"supportedVersions": ["2026-07-28"], "capabilities": {}},
    "tools/list": {"tools": [{"name": "echo", "inputSchema": MARKED}]},
    "tools/call": {"content": [], "isError": False},
}
