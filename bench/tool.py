"""The measured tools: a plain HTTP one and an MCP one, each as cheap as Python can be.

Both answer 1 KB of JSON. The MCP one speaks revision 2026-07-28 and has the one tool `write`.
"""

import asyncio
import json
from collections.abc import Callable
from typing import Any

TEXT = "x" * 1000
BODY = json.dumps({"ok": True, "text": TEXT}).encode()
ECHO_SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "properties": {"text": {"type": "string"}, "n": {"type": "number"}, "data": {}},
}
DEFINITION = {"name": "write", "description": "Writes.", "inputSchema": ECHO_SCHEMA}
VERSION = "2026-07-28"
FRESH = {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"}
RESULTS: dict[str, Any] = {
    "server/discover": FRESH
    | {"supportedVersions": [VERSION], "capabilities": {"tools": {}}}
    | {"_meta": {"io.modelcontextprotocol/serverInfo": {"name": "bench", "version": "1"}}},
    "tools/list": FRESH | {"tools": [DEFINITION]},
    "tools/call": {"resultType": "complete", "content": [{"type": "text", "text": TEXT}]},
}


def plain(_: bytes) -> bytes:
    """Answer a write."""
    return BODY


def mcp(body: bytes) -> bytes:
    """Answer one JSON-RPC request; nothing but the stateless revision is there."""
    asked = json.loads(body)
    result = RESULTS.get(asked["method"])
    outcome = {"result": result} if result else {"error": {"code": -32601, "message": "no"}}
    return json.dumps({"jsonrpc": "2.0", "id": asked.get("id")} | outcome).encode()


class Tool(asyncio.Protocol):
    """One connection: counts whole requests by their Content-Length and answers each."""

    def __init__(self, answer: Callable[[bytes], bytes]) -> None:
        self._answer = answer
        self._buffer = b""
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer each whole request."""
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            total = end + 4 + _length(self._buffer[:end])
            if len(self._buffer) < total:
                return
            body = self._answer(self._buffer[end + 4 : total])
            self._buffer = self._buffer[total:]
            self._transport.write(_HEAD % len(body) + body)


_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


async def serve(answer: Callable[[bytes], bytes] = plain) -> tuple[asyncio.Server, str]:
    """Listen on a free port; return server and URL."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Tool(answer), "127.0.0.1", 0)
    return server, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
