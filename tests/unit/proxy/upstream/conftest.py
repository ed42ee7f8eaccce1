"""Servers of the upstream tests."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import uvloop

from proxy.egress.addresses import AddressPolicy
from proxy.egress.client import EgressClient
from proxy.process.child import ChildSpec
from proxy.upstream.mcp_stdio import McpStdio, Patience
from tests.harness.mcp_on_wire import McpServer
from tests.harness.scripted import SCRIPT, MakeScripted, Scripted
from tests.harness.wire import Wire


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


@pytest.fixture
def server(wire: Wire) -> McpServer:
    """Give an MCP server on the recorded wire."""
    made = McpServer(wire)
    wire.handler = made.handle
    return made


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
