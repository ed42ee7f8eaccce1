"""One real gateway that stands for a whole file of tests, and raw attacks on its two ports."""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from proxy.upstream.mirrored import header_value
from tests.harness.doors import META, rpc, stateless_headers
from tests.harness.gateway import Gateway
from tests.harness.mcp import initialize
from tests.harness.raw import CALL, Heard, request, say
from tests.harness.recorder import Recorder
from tests.harness.world import World, http_tool

PORTS = ("agents", "operators")
DOORS = ("calls", "mcp-2026", "mcp-2025")
LENT = "lent-by-the-broker-of-this-file"
MCP = b"POST /mcp HTTP/1.1"
KEYED = http_tool("GET", "/keyed", "read", credential={"broker": "key"})


@dataclass
class Standing:
    """The gateway and its tool. An attack asks for a write, or for everything to be killed."""

    gateway: Gateway
    recorder: Recorder

    def url(self, port: str) -> str:
        """Return the base URL of a port."""
        return self.gateway.agents if port == "agents" else self.gateway.operators

    def request(self, port: str, *fields: bytes, **more: Any) -> bytes:
        """Return a request that has an effect on this port, changed as harness.raw.request says."""
        world = self.gateway.world
        if port == "operators":
            more = {"line": b"POST /killswitch HTTP/1.1", "body": b"{}"} | more
        token = world.agent_token if port == "agents" else world.operator_token
        return request(self.url(port), token, *fields, **{"body": CALL} | more)

    async def say(self, port: str, *parts: bytes, **more: Any) -> Heard:
        """Send bytes to a port."""
        return await say(self.url(port), *parts, **more)

    async def attack(self, port: str, *fields: bytes, **more: Any) -> Heard:
        """Send one changed request and hear its answer."""
        return await self.say(port, self.request(port, *fields, **more))

    async def call(self, door: str, tool: str, *fields: bytes, **more: Any) -> Heard:
        """Call a tool of the recorder through a door of the agents' port, and hang up."""
        if door == "calls":
            body = b'{"server":"rec","tool":"%b","arguments":{}}' % tool.encode()
            return await self.attack("agents", *fields, b"Connection: close", body=body, **more)
        own, meta = await self._mcp(door, tool)
        params = {"name": f"rec__{tool}", "arguments": {}, "_meta": meta}
        body = rpc("tools/call", params)
        fields = (*own, *fields, b"Connection: close")
        return await self.attack("agents", *fields, line=MCP, body=body, **more)

    async def _mcp(self, door: str, tool: str) -> tuple[list[bytes], dict[str, Any]]:
        """Return the headers and `_meta` of a call in that era."""
        fields = {"Accept": "application/json, text/event-stream"}
        if door == "mcp-2026":
            fields |= stateless_headers("tools/call", header_value(f"rec__{tool}"))
            return _lines(fields), META
        async with aiohttp.ClientSession() as http:
            url, token = self.gateway.agents + "/mcp", self.gateway.world.agent_token
            session = await initialize(http, url, token)
        known = ("Mcp-Session-Id", "MCP-Protocol-Version")
        return _lines(fields | {name: session[name] for name in known}), {}

    async def call_with(self, door: str, tool: str, arguments: Any) -> Any:
        """Call any tool with any arguments; return the JSON of the answer."""
        if door == "calls":
            return (await self.gateway.call(tool, arguments))[1]
        own, meta = await self._mcp(door, tool)
        headers = dict(line.decode("latin-1").split(": ", 1) for line in own)
        body = rpc("tools/call", {"name": f"rec__{tool}", "arguments": arguments, "_meta": meta})
        return (await self.gateway.ask("POST", "/mcp", body, headers=headers))[1]

    async def nothing_happened(self) -> bool:
        """Whether the tool has received 0 bytes and nothing was ever killed."""
        status, answer = await self.gateway.operate("GET", "/killswitch")
        return status == 200 and answer["epoch"] == 0 and self.recorder.received == []


def _lines(fields: Mapping[str, str]) -> list[bytes]:
    return [f"{name}: {value}".encode() for name, value in fields.items()]


@pytest.fixture(scope="module")
def shape() -> Callable[[World], None]:
    """Change the world before the start; a file of tests may have its own."""

    def nothing(world: World) -> None:
        """Leave it as it is."""

    return nothing


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def standing_gateway(
    tmp_path_factory: pytest.TempPathFactory, shape: Callable[[World], None]
) -> AsyncIterator[Standing]:
    """A gateway for the whole file; its tests run in the file's own event loop."""
    recorder = await Recorder().start()
    world = World(tmp_path_factory.mktemp("standing"), recorder.url)
    world.tools["rec"]["keyed"] = KEYED
    key = {"header": "X-Api-Key", "secret": {"env": "STANDING_KEY"}}
    world.settings = {"credentials": {"key": {"static": key}}}
    world.environ = {"STANDING_KEY": LENT}
    shape(world)
    try:
        async with Gateway(world) as gateway:
            yield Standing(gateway, recorder)
    finally:
        await recorder.stop()


@pytest.fixture
def standing(standing_gateway: Standing) -> Standing:
    """The file's gateway, before a tool that has received nothing."""
    standing_gateway.recorder.received.clear()
    return standing_gateway
