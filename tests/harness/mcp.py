"""A minimal MCP client of the 2025-11-25 era, to hold streams open and to see raw answers."""

import asyncio
import json
import time
from contextlib import AsyncExitStack
from typing import Any

import aiohttp

from tests.harness.gateway import Gateway

VERSION = "2025-11-25"
INITIALIZE: dict[str, Any] = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": VERSION,
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    },
}


class IdleStream:
    """A GET stream that nothing is sent on."""

    def __init__(self, http: aiohttp.ClientSession, answer: aiohttp.ClientResponse) -> None:
        self._http = http
        self._answer = answer

    async def closed(self, within_s: float = 30) -> float:
        """Wait until the server closes it; return CLOCK_MONOTONIC in seconds."""
        async with asyncio.timeout(within_s):
            try:
                async for _ in self._answer.content.iter_any():
                    pass
            except aiohttp.ClientError:
                pass
        at = time.monotonic()
        await self._http.close()
        return at

    async def leave(self) -> None:
        """Close it ourselves; a second time changes nothing."""
        await self._http.close()


async def initialize(http: aiohttp.ClientSession, url: str, token: str) -> dict[str, str]:
    """Shake hands; return the headers of the session."""
    headers = {
        "Authorization": f"Bearer {token}",
        "Accept": "application/json, text/event-stream",
        "Content-Type": "application/json",
    }
    async with http.post(url, json=INITIALIZE, headers=headers) as answer:
        assert answer.status == 200, await answer.text()
        headers["Mcp-Session-Id"] = answer.headers["Mcp-Session-Id"]
    headers["MCP-Protocol-Version"] = VERSION
    done = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    async with http.post(url, json=done, headers=headers) as answer:
        assert answer.status == 202
    return headers


async def open_idle_stream(gateway: Gateway, token: str = "") -> IdleStream:
    """Open the session's GET stream and leave it idle."""
    async with AsyncExitStack() as unless_open:
        http = await unless_open.enter_async_context(aiohttp.ClientSession())
        url = gateway.agents + "/mcp"
        headers = await initialize(http, url, token or gateway.world.agent_token)
        headers.pop("Content-Type")
        answer = await http.get(url, headers=headers | {"Accept": "text/event-stream"})
        assert answer.status == 200
        unless_open.pop_all()
    return IdleStream(http, answer)


def parse(raw: bytes) -> Any:
    """Return the JSON of an answer, or the data of its one SSE event."""
    if raw.startswith(b"{"):
        return json.loads(raw)
    data = [line[5:] for line in raw.splitlines() if line.startswith(b"data:")]
    return json.loads(data[-1])
