"""Servers of the upstream tests."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import uvloop

from proxy.egress.addresses import AddressPolicy
from proxy.egress.client import EgressClient
from proxy.process.child import ChildSpec
from proxy.upstream.mcp_stdio import McpStdio, Patience
from tests.harness.wire import Received, Wire, answer

SCRIPT = Path(__file__).with_name("server.py")


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run the tests of pipes on uvloop as well, which hands bytes over later."""
    both = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
    return both if item.path.name == "test_pipe.py" else {"asyncio": both["asyncio"]}


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    """Give a tool on loopback that keeps every byte."""
    async with Wire() as server:
        yield server


@pytest.fixture
async def make_client(wire: Wire) -> AsyncIterator[Callable[[str], EgressClient]]:
    """Give a maker of clients of the recorded tool, below a path."""
    made: list[EgressClient] = []

    def make(path: str = "") -> EgressClient:
        made.append(EgressClient(wire.url + path, AddressPolicy(allow_private=True)))
        return made[-1]

    yield make
    for client in made:
        await client.close()


@dataclass
class Scripted:
    """The scripted stdio server behind an upstream, and what it read."""

    upstream: McpStdio
    log: Path
    changes: list[int]

    def lines(self) -> list[bytes]:
        """Return the lines the server read."""
        return self.log.read_bytes().splitlines() if self.log.exists() else []

    def heard(self, method: str) -> list[dict[str, Any]]:
        """Return the messages with that method."""
        messages = [json.loads(line) for line in self.lines()]
        return [message for message in messages if message.get("method") == method]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until that is so."""
        async with asyncio.timeout(10):
            while not condition():
                await asyncio.sleep(0.01)


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


@pytest.fixture
def server(wire: Wire) -> McpServer:
    """Give an MCP server on the recorded wire."""
    made = McpServer(wire)
    wire.handler = made.handle
    return made


MakeScripted = Callable[..., Awaitable[Scripted]]


@pytest.fixture
async def scripted(tmp_path: Path) -> AsyncIterator[MakeScripted]:
    """Give a starter of scripted servers; each is stopped at the end."""
    made: list[McpStdio] = []

    async def make(way: str = "handshake", *, start: bool = True, **more: Any) -> Scripted:
        log = tmp_path / f"log{len(made)}"
        changes: list[int] = []
        command = (sys.executable, "-I", "-S", str(SCRIPT), str(log), way)
        patience = Patience(answer_timeout_s=2, first_delay_s=0.05, stop_grace_s=0.5)
        spec = ChildSpec("scripted", command)
        upstream = McpStdio(spec, lambda: changes.append(1), **{"patience": patience, **more})
        made.append(upstream)
        if start:
            await upstream.start()
        return Scripted(upstream, log, changes)

    yield make
    for upstream in made:
        await upstream.stop()
