"""The agents' port on a real loopback socket, with a client that can send any bytes."""

import asyncio
import io
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
from starlette.types import ASGIApp

from proxy.ingress.agents import agents_app
from proxy.ingress.guard import GuardSettings, loopback_hosts
from proxy.ingress.protocol import DEFAULT_LIMITS, ConnectionLimits
from proxy.model.tool import Effect, HttpBinding, ToolManifest
from tests.harness.doors import META, STATEFUL, STATELESS, TOKEN, RecordingGate, stateless_headers
from tests.harness.served import served

DOORS = ("calls", "mcp-2026", "mcp-2025", "http")
BINDING = HttpBinding("POST", "/write", body=("a", "b", "limit", "n", "text"))
WRITE = {("rec", "write"): ToolManifest("rec", "write", Effect.WRITE, http=BINDING)}


@dataclass
class AgentsPort:
    """A served port: its gate, its address and a client with the agent's token."""

    gate: RecordingGate
    port: int
    client: aiohttp.ClientSession

    @property
    def url(self) -> str:
        """Where it is served."""
        return f"http://127.0.0.1:{self.port}"

    async def ask(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any]:
        """Ask and return status and JSON; every body is sent as application/json."""
        fields = {"Content-Type": "application/json"} | dict(headers or {})
        data = io.BytesIO(body) if body else None
        async with self.client.request(method, self.url + path, data=data, headers=fields) as got:
            raw = await got.read()
            return got.status, json.loads(raw) if raw else None

    async def call(self, door: str, arguments: bytes) -> tuple[int, Any]:
        """Send one call of `rec/write` with these raw arguments through a door."""
        if door == "calls":
            body = b'{"server":"rec","tool":"write","arguments":%b}' % arguments
            return await self.ask("POST", "/v1/calls", body)
        if door == "http":
            return await self.ask("POST", "/http/rec/write", arguments)
        if door == "mcp-2026":
            return await self.ask(
                "POST", "/mcp/rec", _tools_call(arguments, META), _stateless_headers()
            )
        headers = await self.initialize("/mcp/rec")
        return await self.ask("POST", "/mcp/rec", _tools_call(arguments, {}), headers)

    async def refusal(self, door: str, arguments: bytes) -> tuple[int, str]:
        """Send such a call and return status and code of its refusal."""
        status, answer = await self.call(door, arguments)
        return status, code_of(answer)

    async def initialize(self, path: str = "/mcp") -> dict[str, str]:
        """Open an MCP session and return the headers of its later requests."""
        params = {"protocolVersion": STATEFUL, "capabilities": {}, "clientInfo": {}}
        body = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params}
        async with self.client.post(self.url + path, json=body) as got:
            session_id = got.headers["Mcp-Session-Id"]
        return {"Mcp-Session-Id": session_id, "MCP-Protocol-Version": STATEFUL}

    async def raw(self, request: bytes, wait_s: float = 5.0) -> bytes:
        """Send bytes on a connection of its own and return everything that comes back."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(request)
            await writer.drain()
            async with asyncio.timeout(wait_s):
                return await reader.read()
        finally:
            writer.close()
            await writer.wait_closed()


def code_of(answer: Any) -> str:
    """Return the code of a problem, or of a JSON-RPC error's data; empty when it is neither."""
    code: str = answer.get("code") or answer.get("error", {}).get("data", {}).get("code", "")
    return code


def _stateless_headers() -> dict[str, str]:
    return stateless_headers("tools/call", "write")


def _tools_call(arguments: bytes, meta: Mapping[str, Any]) -> bytes:
    params = b'{"name":"write","arguments":%b,"_meta":%b}' % (arguments, json.dumps(meta).encode())
    return b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":%b}' % params


@asynccontextmanager
async def serve(
    gate: RecordingGate, limits: ConnectionLimits = DEFAULT_LIMITS, **settings: Any
) -> AsyncIterator[AgentsPort]:
    """Serve a gate's agents' port on a free port, in the test's loop."""

    def app_of(port: int) -> ASGIApp:
        guard = GuardSettings(loopback_hosts(port), **settings)
        return agents_app(gate, guard, jwks=lambda: {"keys": []}, version="1.2.3")

    async with served(app_of, limits) as port:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with aiohttp.ClientSession(headers=headers) as client:
            yield AgentsPort(gate, port, client)


@pytest.fixture
async def agents_port() -> AsyncIterator[AgentsPort]:
    """The agents' port before a recording gate."""
    async with serve(RecordingGate(http_tools=WRITE)) as port:
        yield port


__all__ = ["DOORS", "STATELESS", "AgentsPort", "agents_port", "code_of", "serve"]
