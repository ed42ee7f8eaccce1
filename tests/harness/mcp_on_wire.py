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
    both: bool = False
    on_call: Callable[[dict[str, Any], asyncio.StreamWriter], Awaitable[None]] | None = None
    on_get: Callable[[Received, asyncio.StreamWriter], Awaitable[None]] | None = None

    def heard(self, method: str) -> list[Received]:
        """Return the requests with that JSON-RPC method."""
        bodies = [one for one in self.wire.requests if one.body]
        return [one for one in bodies if json.loads(one.body).get("method") == method]

    async def until(self, method: str, count: int = 1) -> list[Received]:
        """Return the requests with that method once there are that many."""
        async with asyncio.timeout(5):
            while len(self.heard(method)) < count:
                await self.wire.until(len(self.wire.requests) + 1)
        return self.heard(method)

    def got(self, verb: str) -> list[Received]:
        """Return the requests with that HTTP method."""
        return [one for one in self.wire.requests if one.line.startswith(verb + " ")]

    def reply(self, message: dict[str, Any], **members: Any) -> bytes:
        """Return a whole answer to one message, as JSON or as a stream."""
        body = json.dumps({"jsonrpc": "2.0", "id": message["id"], **members}).encode()
        fields = {"mcp_session_id": self.session} if self.session else {}
        if self.sse:
            return answer(event(body), 200, content_type="text/event-stream", **fields)
        return answer(body, 200, **fields)

    async def handle(self, received: Received, writer: asyncio.StreamWriter) -> None:
        """Answer one POST, GET or DELETE."""
        if received.line.startswith("GET ") and self.on_get is not None:
            await self.on_get(received, writer)
            return
        message = json.loads(received.body or b"{}")
        method = message.get("method", "")
        if method in CALLS and self.on_call is not None:
            await self.on_call(message, writer)
        elif "id" not in message or "method" not in message:
            writer.write(answer(b"", 405 if received.line.startswith("GET ") else 202))
        elif method == self._other_era():
            error = {"code": -32022, "message": "another era"}
            body = {"jsonrpc": "2.0", "id": None, "error": error}
            writer.write(answer(json.dumps(body).encode(), 400))
        else:
            writer.write(self.reply(message, result=RESULTS[method]))

    def _other_era(self) -> str:
        if self.both:
            return ""
        return "initialize" if self.stateless else "server/discover"


def head(**fields: str) -> bytes:
    """Return the head of a stream that goes on."""
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n{lines}\r\n".encode()


def event(data: bytes) -> bytes:
    """Return one server-sent event."""
    return b"event: message\r\ndata: " + data + b"\r\n\r\n"


MARKED = {"type": "object", "properties": {"x": {"type": "string", "x-mcp-header": "X"}}}
CALLS = frozenset({"tools/call", "resources/read", "prompts/get", "subscriptions/listen"})
RESULTS: dict[str, Any] = {
    "initialize": {"protocolVersion": "2025-06-18", "capabilities": {}},
    "server/discover": {"supportedVersions": ["2026-07-28"], "capabilities": {}},
    "tools/list": {"tools": [{"name": "echo", "inputSchema": MARKED}]},
    "tools/call": {"content": [], "isError": False},
    "resources/read": {"contents": []},
    "subscriptions/listen": {},
    "logging/setLevel": {},
    "resources/subscribe": {},
    "resources/unsubscribe": {},
}
