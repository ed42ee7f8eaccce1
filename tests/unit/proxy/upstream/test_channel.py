"""What a server says in a session outside of the streams of calls."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from proxy.egress.client import EgressClient
from proxy.model.mcp import Era
from proxy.upstream.channel import LISTENED_S, Channel
from proxy.upstream.clock import Clock
from proxy.upstream.dialogue import Dialogue, Wiring
from proxy.upstream.exchange import Session
from proxy.upstream.jsonrpc import Message
from proxy.upstream.mcp_wire import Spoken
from proxy.upstream.streamable import Endpoint
from tests.harness.client import Client
from tests.harness.mcp_on_wire import event, head
from tests.harness.wire import Received, Wire, answer

SESSION = Session(Spoken(Era.HANDSHAKE, "2025-06-18"), "s1")


class Server:
    """A server with one stream; what is told it says there, and keeps what it is answered."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.says: asyncio.Queue[bytes] = asyncio.Queue()
        self.status = 200
        self.listened = 0
        wire.handler = self.handle

    async def handle(self, received: Received, writer: asyncio.StreamWriter) -> None:
        if not received.line.startswith("GET"):
            writer.write(answer(b"", 202))
            return
        self.listened += 1
        if self.status != 200:
            writer.write(answer(b"", self.status))
            return
        writer.write(head())
        while True:
            writer.write(event(await self.says.get()))
            await writer.drain()

    def say(self, **message: Any) -> None:
        self.says.put_nowait(json.dumps({"jsonrpc": "2.0", **message}).encode())

    def answers(self) -> list[dict[str, Any]]:
        return [json.loads(one.body) for one in self.wire.requests if one.line.startswith("POST")]


class Room:
    """A channel, what was no part of a call in it, and its calls."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.outside: list[tuple[str, Message]] = []
        self.channel = Channel("one", SESSION, endpoint, self.take)
        self.endpoint = endpoint
        self.stack = AsyncExitStack()

    def take(self, owner: str, message: Message) -> bool:
        self.outside.append((owner, message))
        return True

    async def call(self, token: int) -> Client:
        """Begin a call that goes on until the end of the test."""

        async def reply(line: bytes) -> None:
            await self.endpoint.reply(SESSION, line, {})

        client = Client(Era.HANDSHAKE)
        clock = await self.stack.enter_async_context(Clock(5))
        dialogue = Dialogue(client, token, clock, Wiring(reply, self.channel.outside))
        await self.stack.enter_async_context(dialogue)
        self.stack.enter_context(self.channel.calling(dialogue))
        return client


@pytest.fixture
def server(wire: Wire) -> Server:
    """Give the server of the session."""
    return Server(wire)


@pytest.fixture
async def room(server: Server, make_client: Callable[..., EgressClient]) -> AsyncIterator[Room]:
    """Give a channel that is listened to."""
    made = Room(Endpoint("s", make_client("/mcp"), {}))
    made.channel.listen()
    await made.channel.listened()
    yield made
    await made.stack.aclose()
    made.channel.hush()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.002)


async def test_what_is_no_part_of_a_call_goes_outside(server: Server, room: Room) -> None:
    """With whose session that is; an answer is nobody's."""
    server.say(id=1, result={})
    server.say(method="notifications/resources/updated", params={"uri": "a://b"})
    server.say(method="notifications/message", params={"data": "x"})
    await until(lambda: len(room.outside) == 2)
    assert {owner for owner, _ in room.outside} == {"one"}


async def test_progress_goes_to_its_call(server: Server, room: Room) -> None:
    """Other progress to nobody."""
    first, second = await room.call(7), await room.call(8)
    for token in (7, 9, "7"):
        server.say(method="notifications/progress", params={"progressToken": token})
    await until(lambda: len(first.told) == 1)
    assert (second.told, room.outside) == ([], [])


async def test_a_log_message_goes_to_the_newest_call(server: Server, room: Room) -> None:
    """All calls of a channel are one client's."""
    first, second = await room.call(7), await room.call(8)
    server.say(method="notifications/message", params={"data": "x"})
    await until(lambda: len(second.told) == 1)
    assert first.told == []


async def test_a_request_is_answered_by_the_client_of_a_call(server: Server, room: Room) -> None:
    """A ping is not: it is answered for the session."""
    client = await room.call(7)
    server.say(id="q", method="roots/list")
    server.say(id="p", method="ping")
    await until(lambda: len(server.answers()) == 2)
    results = {one["id"]: one["result"] for one in server.answers()}
    assert results == {"q": {"roots": []}, "p": {}}
    assert [method for method, _ in client.asked] == ["roots/list"]


async def test_without_a_call_there_is_nobody_to_ask(server: Server, room: Room) -> None:
    """The server can read that."""
    server.say(id=1, method="roots/list")
    await until(lambda: len(server.answers()) == 1)
    assert server.answers()[0]["error"]["code"] == -32601


async def test_a_request_is_withdrawn(server: Server, room: Room) -> None:
    """Whichever call was asked."""
    client = await room.call(7)
    client.thinks_s = 0.2
    server.say(id="q", method="roots/list")
    server.say(method="notifications/cancelled", params={"requestId": "q"})
    server.say(id="r", method="roots/list")
    await until(lambda: len(server.answers()) == 1)
    assert server.answers()[0]["id"] == "r"


async def test_listening_twice_is_listening_once(server: Server, room: Room) -> None:
    """And waiting for it takes no time then."""
    room.channel.listen()
    await room.channel.listened()
    assert server.listened == 1


async def test_a_session_that_is_over_is_lost(
    server: Server, make_client: Callable[..., EgressClient]
) -> None:
    """The stream told us so."""
    server.status = 404
    room = Room(Endpoint("s", make_client("/mcp"), {}))
    room.channel.listen()
    async with asyncio.timeout(5):
        await room.channel.gone.wait()


async def test_a_server_that_does_not_answer_is_waited_for_once(
    wire: Wire, make_client: Callable[..., EgressClient]
) -> None:
    """It may only answer when it has something to say."""

    async def hang(received: Received, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)

    wire.handler = hang
    channel = Room(Endpoint("s", make_client("/mcp"), {})).channel
    await channel.listened()
    channel.listen()
    began = asyncio.get_running_loop().time()
    await channel.listened()
    await channel.listened()
    assert LISTENED_S * 0.9 <= asyncio.get_running_loop().time() - began < 2 * LISTENED_S
    channel.hush()
    channel.hush()


async def test_closing_ends_the_session(server: Server, room: Room) -> None:
    """At the server, and for all who wait for that."""
    room.channel.close()
    await room.endpoint.close()
    assert room.channel.gone.is_set()
    assert server.wire.requests[-1].line.startswith("DELETE")
