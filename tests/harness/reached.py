"""A tool reached over HTTP in each way there is, on a wire where a test writes the answers."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from proxy.egress.addresses import AddressPolicy
from proxy.egress.client import EgressClient
from proxy.errors import OutcomeUnknown, UpstreamFailed
from proxy.model.tool import Effect, HttpBinding, ToolManifest
from proxy.upstream.base import Upstream, UpstreamCall, UpstreamResult
from proxy.upstream.http import HttpUpstream
from proxy.upstream.mcp_http import McpHttp
from tests.harness.mcp_on_wire import McpServer
from tests.harness.wire import Handler, Received, Wire, answer

KINDS = ("http", "mcp-2025", "mcp-2026")
BINDING = HttpBinding("POST", "/write", body=("a",))


async def plain(received: Received, writer: asyncio.StreamWriter) -> None:
    """Answer with nothing in particular."""
    writer.write(answer())


@dataclass
class Reached:
    """The upstream and its server. `on_call` answers a call; what MCP says before is answered."""

    kind: str
    wire: Wire
    upstream: Upstream
    on_call: Handler = plain
    calls: list[Received] = field(default_factory=list)

    async def call(
        self,
        effect: Effect = Effect.WRITE,
        timeout_s: float = 10,
        headers: Mapping[str, str] | None = None,
    ) -> UpstreamResult:
        """Call the tool. Raises UpstreamFailed, OutcomeUnknown."""
        manifest = ToolManifest("tool", "write", effect, http=BINDING)
        call = UpstreamCall(manifest, b'{"a":1}', timeout_s, headers or {})
        return await self.upstream.call(call, lambda: None)

    async def outcome(self, **more: Any) -> str:
        """Call the tool and say what came of it: result, error (of its own), failed or unknown."""
        try:
            result = await self.call(**more)
        except OutcomeUnknown:
            return "unknown"
        except UpstreamFailed:
            return "failed"
        return "error" if result.is_error or result.is_rpc_error else "result"


@pytest.fixture(params=KINDS)
async def reached(request: pytest.FixtureRequest) -> AsyncIterator[Reached]:
    """An upstream of each kind; its server has been spoken to before the test begins."""
    async with Wire() as wire:
        client = EgressClient(wire.url, AddressPolicy(allow_private=True))
        tool = Reached(request.param, wire, _upstream(request.param, client))
        server = McpServer(wire, stateless=tool.kind == "mcp-2026")

        async def handle(received: Received, writer: asyncio.StreamWriter) -> None:
            if tool.kind == "http" or b'"tools/call"' in received.body:
                tool.calls.append(received)
                await tool.on_call(received, writer)
            else:
                await server.handle(received, writer)

        wire.handler = handle
        if tool.kind != "http":
            await tool.upstream.definitions()
        yield tool
        await tool.upstream.stop()


def _upstream(kind: str, client: EgressClient) -> Upstream:
    if kind == "http":
        return HttpUpstream("tool", client, lambda: ())
    return McpHttp("tool", client)
