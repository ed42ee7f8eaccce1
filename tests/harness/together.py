"""Several real gateways on one PostgreSQL, each over a link of its own that can be cut."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.harness.gateway import Gateway
from tests.harness.postgres import ROLE, Server, database_of
from tests.harness.tcp_faults import FaultyLink
from tests.harness.world import World


@dataclass
class Together:
    """The gateways, in order, and how each reaches the ledger."""

    gateways: list[Gateway]
    links: list[FaultyLink]


@asynccontextmanager
async def together(
    server: Server, worlds: list[World], shape: Callable[[World], None] = lambda _: None
) -> AsyncIterator[Together]:
    """Start a gateway for each world, with the agents and operators of the first."""
    database = database_of(server.new())
    async with AsyncExitStack() as held:
        links = [await held.enter_async_context(FaultyLink(server.port)) for _ in worlds]
        for world, link in zip(worlds, links, strict=True):
            world.directory.mkdir()
            world.agent_token = worlds[0].agent_token
            world.operator_token = worlds[0].operator_token
            url = f"postgresql://{ROLE}@127.0.0.1:{link.port}/{database}?connections=4"
            world.settings = {"store": url}
            shape(world)
        gateways = [Gateway(world) for world in worlds]
        for gateway in gateways:
            held.push_async_callback(gateway.stop)
        await asyncio.gather(*(gateway.start() for gateway in gateways))
        yield Together(gateways, links)


def worlds_of(directory: Path, recorder_url: str, count: int) -> list[World]:
    """Return so many worlds before the same tool."""
    return [World(directory / f"gateway-{number}", recorder_url) for number in range(count)]
