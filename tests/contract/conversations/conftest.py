"""Real servers that talk, one of each kind."""

import asyncio
import socket
import sys
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from proxy.egress.addresses import AddressPolicy
from proxy.egress.client import EgressClient
from proxy.errors import OutcomeUnknown, UpstreamFailed
from proxy.model.mcp import Era
from proxy.process.child import Child, ChildSpec, spawn
from proxy.upstream.base import Upstream
from proxy.upstream.mcp_http import McpHttp
from proxy.upstream.mcp_stdio import McpStdio, Patience
from tests.harness.client import Client
from tests.harness.talker import KINDS, SERVER, Talker


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def answers(talker: Talker) -> bool:
    """Whether a call goes through."""
    try:
        await talker.call("ready", Client(None))
    except (UpstreamFailed, OutcomeUnknown):
        return False
    return True


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=KINDS)
async def talker(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Talker]:
    """Give one running server of each kind."""
    kind, log = str(request.param), tmp_path_factory.mktemp("talker") / "log"
    changes: list[float] = []
    command = (sys.executable, str(SERVER), str(log))
    server: Child | None = None
    upstream: Upstream
    if kind.startswith("stdio"):
        patience = Patience(stop_grace_s=1)
        spec = ChildSpec("talker", command)
        upstream = McpStdio(spec, lambda: changes.append(1), KINDS[kind], patience)
        await upstream.start()
    else:
        port = free_port()
        server = await spawn(ChildSpec("talker", (*command, str(port))), pipes=False)
        url, policy = f"http://127.0.0.1:{port}/mcp", AddressPolicy(allow_private=True)
        client = EgressClient(url, policy)
        upstream = McpHttp("talker", client, None, lambda: changes.append(1), KINDS[kind])
    running = Talker(kind, upstream, log, changes, server)
    async with asyncio.timeout(20):
        while not await answers(running):
            await asyncio.sleep(0.1)
    yield running
    await upstream.stop()
    if server is not None:
        await server.stop()


@pytest.fixture(params=[*Era, None], ids=["handshake-client", "stateless-client", "plain-client"])
def client(request: pytest.FixtureRequest) -> Client:
    """Give a client of each era, and one that speaks no MCP."""
    return Client(request.param)
