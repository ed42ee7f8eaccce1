"""A72: streams that are open when a kill comes: idle, talking, and of clients that do not hang up.

The tool numbers what it says. What it says after the kill was acknowledged reaches nobody, and
the gateway's end of every connection is closed within a second, whatever the client does.
"""

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import pytest
import pytest_asyncio

from tests.harness.changing_mcp import pin_of
from tests.harness.gateway import Gateway
from tests.harness.mcp_on_wire import RESULTS, McpServer, event, head
from tests.harness.mcp_raw import META, STATELESS, request, session_of
from tests.harness.raw import request as raw_request
from tests.harness.wire import Received, Wire
from tests.harness.world import World

pytestmark = [pytest.mark.alone, pytest.mark.asyncio(loop_scope="module")]

WITHIN_S = 1.0
PAUSE_S = 0.005
OPEN = {"01", "08"}  # ESTABLISHED, CLOSE_WAIT in /proc/net/tcp
LARGE, MORE_THAN_FITS = "x" * 50_000, 200
METHOD = {"effect": "read", "risk": 0, "returns": "untrusted"}
STREAMS = ["get-2025", "listen-2026", "call-2025", "call-2026"]


class Talking:
    """A server whose streams say numbered things for ever, or nothing."""

    def __init__(self) -> None:
        self.said = 0
        self.padding = ""
        self.is_idle = False

    async def on_get(self, received: Received, writer: asyncio.StreamWriter) -> None:
        """Tell of a change of its resources again and again."""
        del received
        writer.write(head())
        await self._talk(writer, "notifications/resources/updated", {})

    async def on_call(self, message: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        """Report progress and never answer."""
        if message["method"] != "tools/call":
            writer.write(head())
            await asyncio.Event().wait()
        token = message["params"].get("_meta", {}).get("progressToken")
        writer.write(head())
        await self._talk(writer, "notifications/progress", {"progressToken": token})

    async def _talk(self, writer: asyncio.StreamWriter, method: str, more: dict[str, Any]) -> None:
        with suppress(ConnectionError):
            while not writer.is_closing():
                if not self.is_idle:
                    self.said += 1
                    own = {"uri": f"said://{self.said}.", "progress": self.said}
                    params = own | {"message": f"said://{self.said}." + self.padding} | more
                    message = {"jsonrpc": "2.0", "method": method, "params": params}
                    writer.write(event(json.dumps(message).encode()))
                    await writer.drain()
                await asyncio.sleep(PAUSE_S)


@dataclass
class Scene:
    """A gateway before a server that talks."""

    gateway: Gateway
    talking: Talking


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def standing_scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    wire, talking = Wire(), Talking()
    speaker = McpServer(wire)
    speaker.on_call, speaker.on_get, wire.handler = talking.on_call, talking.on_get, speaker.handle
    async with wire:
        world = World(tmp_path_factory.mktemp("talking"), wire.url)
        world.servers = {"notes": {"mcp": {"url": wire.url}, "allow_private": True}}
        methods = ("resources/read", "resources/list", "resources/subscribe")
        pin = pin_of(RESULTS["tools/list"]["tools"][0])
        echo = METHOD | {"pin": pin, "credential": {"broker": "none"}, "timeout": "60s"}
        world.tools = {
            "notes": {"echo": echo | {"recovery": "probe"}} | dict.fromkeys(methods, METHOD)
        }
        async with Gateway(world) as gateway:
            yield Scene(gateway, talking)


@pytest_asyncio.fixture(loop_scope="module")
async def scene(standing_scene: Scene) -> AsyncIterator[Scene]:
    """The gateway, with nothing halted before and after."""
    standing_scene.talking.is_idle, standing_scene.talking.padding = False, ""
    yield standing_scene
    gateway = standing_scene.gateway
    _, state = await gateway.operate("GET", "/killswitch")
    for kill in state["active"]:
        await gateway.operate("DELETE", f"/killswitch/{kill['epoch']}", {"reason": "next test"})


async def asked(gateway: Gateway, stream: str) -> bytes:
    """Return the bytes of the request that opens a stream."""
    kind, era = stream.split("-")
    accept = b"Accept: application/json, text/event-stream"
    meta: dict[str, Any] = {"progressToken": "t"} | (META if era == "2026" else {})
    if kind == "listen":
        wanted = {"resourcesListChanged": True, "resourceSubscriptions": ["said://1"]}
        body = request("subscriptions/listen", {"notifications": wanted, "_meta": META})
    else:
        body = request("tools/call", {"name": "echo", "arguments": {}, "_meta": meta})
    if era == "2025":
        fields = await session_of(gateway, "/mcp/notes")
    else:
        named = {"Mcp-Name": "echo"} if kind == "call" else {}
        fields = {"MCP-Protocol-Version": STATELESS, "Mcp-Method": body["method"]} | named
    lines = [f"{name}: {value}".encode() for name, value in fields.items()]
    verb, sent = (b"GET", b"") if kind == "get" else (b"POST", json.dumps(body).encode())
    without = [b"content-type", b"content-length"] if kind == "get" else []
    return raw_request(
        gateway.agents, gateway.world.agent_token, accept, b"Connection: close", *lines,
        line=verb + b" /mcp/notes HTTP/1.1", body=sent, without=without,
    )  # fmt: skip


class Client:
    """A client of one stream; it never hangs up before the end of its test."""

    def __init__(self, gateway: Gateway) -> None:
        place = urlsplit(gateway.agents)
        self._address = (place.hostname or "", place.port or 0)
        self._socket = socket.socket()
        self.heard = bytearray()

    async def open(self, raw: bytes, buffer_bytes: int = 0) -> None:
        """Ask; `buffer_bytes` bounds what the kernel takes for a client that does not read."""
        if buffer_bytes:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
        self._socket.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(self._socket, self._address)
        await loop.sock_sendall(self._socket, raw)

    async def read(self) -> float:
        """Read to the end; return when that was, by CLOCK_MONOTONIC."""
        loop = asyncio.get_running_loop()
        with suppress(ConnectionError):
            while part := await loop.sock_recv(self._socket, 65_536):
                self.heard += part
        return time.monotonic()

    async def until(self, text: bytes) -> None:
        """Wait until that has come."""
        async with asyncio.timeout(10):
            while text not in self.heard:
                await asyncio.sleep(0.005)

    def is_held_open(self) -> bool:
        """Whether the gateway still has its end of the connection."""
        ends = (self._address[1], self._socket.getsockname()[1])
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        states = {(_port(row[1]), _port(row[2])): row[3] for row in rows}
        return states.get(ends, "") in OPEN

    async def until_let_go(self) -> float:
        """Return when the gateway has let go of it, by CLOCK_MONOTONIC."""
        async with asyncio.timeout(60):
            while self.is_held_open():
                await asyncio.sleep(0.01)
        return time.monotonic()

    def numbers(self) -> list[int]:
        """Return the numbers of what the tool said and the client heard."""
        parts = bytes(self.heard).split(b"said://")[1:]
        return [int(part.partition(b".")[0]) for part in parts if b"." in part]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._socket.close()


def _port(address: str) -> int:
    return int(address.rpartition(":")[2], 16)


async def kill(scene: Scene) -> tuple[float, int]:
    """Kill everything; return when it was acknowledged, and how much the tool had said then."""
    status, report = await scene.gateway.operate("POST", "/killswitch")
    assert (status, report["committed"]) == (200, True)
    return time.monotonic(), scene.talking.said


@pytest.mark.parametrize("is_idle", [False, True], ids=["talking", "idle"])
@pytest.mark.parametrize("stream", STREAMS)
async def test_a72_a_stream_ends_with_the_kill(scene: Scene, stream: str, is_idle: bool) -> None:
    """Closed within a second, and nothing that the tool says after the acknowledgement passes.

    The client never closes its own end: what it still sends is answered by a reset.
    """
    scene.talking.is_idle = is_idle
    with Client(scene.gateway) as client:
        await client.open(await asked(scene.gateway, stream))
        reading = asyncio.create_task(client.read())
        if is_idle or stream == "listen-2026":
            await asyncio.sleep(0.3)
        else:
            await client.until(b"said://")
        killed_at, said = await kill(scene)
        assert await asyncio.wait_for(reading, 10) - killed_at <= WITHIN_S
        assert await client.until_let_go() - killed_at <= WITHIN_S
        assert max(client.numbers(), default=0) <= said


@pytest.mark.parametrize("stream", ["call-2025", "call-2026"])
async def test_a72_a_client_that_does_not_read_keeps_nothing_open(
    scene: Scene, stream: str
) -> None:
    """Its buffers are full when the kill comes; what waits here for it is thrown away."""
    before, scene.talking.padding = scene.talking.said, LARGE
    with Client(scene.gateway) as client:
        await client.open(await asked(scene.gateway, stream), buffer_bytes=4_096)
        async with asyncio.timeout(30):
            while scene.talking.said < before + MORE_THAN_FITS:
                await asyncio.sleep(0.05)
        killed_at, said = await kill(scene)
        assert await client.until_let_go() - killed_at <= WITHIN_S
        await asyncio.wait_for(client.read(), 10)
        assert max(client.numbers(), default=0) <= said
