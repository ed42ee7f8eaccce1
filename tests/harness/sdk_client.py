"""The official SDK's client, connected as a person would configure it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client

from tests.harness.gateway import Gateway

HANDSHAKE = "legacy"
STATELESS = "2026-07-28"
ERAS = (HANDSHAKE, STATELESS)


@asynccontextmanager
async def connected(
    gateway: Gateway, era: str, path: str = "/mcp", **callbacks: Any
) -> AsyncIterator[Client]:
    """Connect to a path of the gateway; callbacks are those of the SDK's Client."""
    headers = {"Authorization": f"Bearer {gateway.world.agent_token}"}
    async with httpx2.AsyncClient(headers=headers, timeout=30) as http:
        transport = streamable_http_client(gateway.agents + path, http_client=http)
        async with Client(transport, mode=era, **callbacks) as client:
            yield client


def text_of(result: Any) -> str:
    """Return the text of a result."""
    return " ".join(item.text for item in result.content if item.type == "text")
