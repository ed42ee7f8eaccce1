"""What is scored: a server of ours or any other, and the same server through a real gateway."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.harness.gateway import Gateway
from tests.harness.manifests import ALL_TOOLS, declared, drafted, harmless
from tests.harness.relay import Relay
from tests.harness.world import ROOT, World

NAME = "fixture"
START_S = 30


@asynccontextmanager
async def fixture(era: str = "both") -> AsyncIterator[str]:
    """Run our own server in its own process; yield its URL."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.conformance.fixture", "--era", era,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL, cwd=ROOT,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        said = await asyncio.wait_for(process.stdout.readline(), START_S)
        yield said.decode().strip()
    finally:
        process.terminate()
        await process.wait()


@asynccontextmanager
async def gateway_before(server_url: str, directory: Path) -> AsyncIterator[tuple[str, Gateway]]:
    """Run a gateway that allows everything the server offers; yield its URL and itself.

    The URL is a relay's: it adds the token that the suite cannot send.
    """
    world = World(directory, "http://127.0.0.1:9")
    world.servers = {NAME: {"mcp": {"url": server_url}, "allow_private": True}}
    world.roles = {"tester": {"tools": ALL_TOOLS}}
    world.tools.clear()
    world.tools[NAME] = harmless(await drafted(world, NAME)) | await declared(server_url)
    async with Gateway(world) as gateway, Relay(gateway.agents, world.agent_token) as relay:
        yield f"http://{relay.authority}/mcp/{NAME}", gateway
