"""A client that goes away: what it held open at the tool is closed within 100 ms, in both eras.

Measured at the tool: from the moment the client hangs up until the tool's own connection ends.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest

from tests.harness.gateway import Gateway
from tests.harness.mcp_on_wire import McpServer, head
from tests.harness.mcp_raw import META, STATELESS, request, session_of
from tests.harness.wire import Received, Wire
from tests.harness.world import World

pytestmark = pytest.mark.alone

WITHIN_S = 0.1
METHOD = {"effect": "read", "risk": 0, "returns": "untrusted"}
READ = {"uri": "note://a"}


@dataclass
class Holding:
    """A server that holds everything open; `left_at` is when each connection was closed on it."""

    held: asyncio.Event = field(default_factory=asyncio.Event)
    left_at: asyncio.Queue[float] = field(default_factory=asyncio.Queue)
    streams: int = 0

    async def on_call(self, message: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        """Take a call and never answer it; what the gateway listens to itself does not count."""
        del writer
        if message["method"] == "subscriptions/listen":
            await asyncio.Event().wait()
        self.held.set()
        await self._until_left()

    async def on_get(self, received: Received, writer: asyncio.StreamWriter) -> None:
        """Open a stream and say nothing on it; the gateway's own comes first."""
        del received
        self.streams += 1
        writer.write(head())
        await writer.drain()
        if self.streams == 1:
            await asyncio.Event().wait()
        self.held.set()
        await self._until_left()

    async def _until_left(self) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            self.left_at.put_nowait(time.monotonic())


@pytest.fixture(params=[False, True], ids=["handshake server", "stateless server"])
async def server(request: pytest.FixtureRequest) -> AsyncIterator[McpServer]:
    """A server of either era that holds calls."""
    wire, holding = Wire(), Holding()
    speaker = McpServer(wire, stateless=request.param)
    speaker.on_call, speaker.on_get = holding.on_call, holding.on_get
    wire.handler = speaker.handle
    async with wire:
        yield speaker


@pytest.fixture
def holding(server: McpServer) -> Holding:
    """What the server holds."""
    holding = getattr(server.on_call, "__self__", None)
    assert isinstance(holding, Holding)
    return holding


@pytest.fixture
def world(world: World, server: McpServer) -> World:
    """Where its resources may be read and watched."""
    world.servers = {"notes": {"mcp": {"url": server.wire.url}, "allow_private": True}}
    world.tools["notes"] = {"resources/read": METHOD, "resources/list": METHOD}
    world.roles = {"tester": {"tools": ["notes/resources/*"]}}
    return world


async def headers_of(gateway: Gateway, era: str, method: str) -> dict[str, str]:
    if era == "2025":
        return await session_of(gateway, "/mcp/notes")
    named = {"Mcp-Name": READ["uri"]} if method == "resources/read" else {}
    return {"MCP-Protocol-Version": STATELESS, "Mcp-Method": method} | named


async def hangs_up(gateway: Gateway, holding: Holding, method: str, **sent: Any) -> float:
    """Send a request, hang up while it is held, and return how long the tool held on after."""
    token = {"Authorization": f"Bearer {gateway.world.agent_token}"}
    accept = {"Accept": "application/json, text/event-stream"}
    async with aiohttp.ClientSession(headers=token | accept) as http:
        asking = asyncio.create_task(waits(http, method, gateway.agents + "/mcp/notes", sent))
        async with asyncio.timeout(10):
            await holding.held.wait()
        began = time.monotonic()
        asking.cancel()
        async with asyncio.timeout(10):
            left_at = await holding.left_at.get()
        await asyncio.wait({asking})
    return left_at - began


async def waits(http: aiohttp.ClientSession, method: str, url: str, sent: Any) -> None:
    """Read an answer for as long as it lasts."""
    async with http.request(method, url, **sent) as answer:
        await answer.read()


@pytest.mark.parametrize("era", ["2025", "2026"])
async def test_an_abandoned_call_is_let_go(gateway: Gateway, holding: Holding, era: str) -> None:
    """The request to the tool ends with that of the client."""
    body = request("resources/read", READ | ({"_meta": META} if era == "2026" else {}))
    headers = await headers_of(gateway, era, "resources/read")
    took_s = await hangs_up(gateway, holding, "POST", json=body, headers=headers)
    assert took_s < WITHIN_S


@pytest.mark.parametrize("server", [False], indirect=True, ids=["handshake server"])
@pytest.mark.parametrize("era", ["2025", "2026"])
async def test_an_abandoned_stream_is_let_go(gateway: Gateway, holding: Holding, era: str) -> None:
    """What the server was heard by for this client is closed; the gateway's own goes on."""
    if era == "2025":
        headers = await headers_of(gateway, era, "GET")
        took_s = await hangs_up(gateway, holding, "GET", headers=headers)
    else:
        headers = await headers_of(gateway, era, "subscriptions/listen")
        wanted = {"notifications": {"resourcesListChanged": True}, "_meta": META}
        body = request("subscriptions/listen", wanted)
        took_s = await hangs_up(gateway, holding, "POST", json=body, headers=headers)
    assert took_s < WITHIN_S
