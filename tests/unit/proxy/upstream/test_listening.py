"""A stream that is kept open."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest

from proxy.egress.client import EgressClient
from proxy.model.mcp import Era
from proxy.upstream.exchange import Session, SessionOver
from proxy.upstream.jsonrpc import Message
from proxy.upstream.listening import MAX_EVENT_BYTES, MAX_PER_S, Delays, Listening
from proxy.upstream.mcp_wire import Spoken
from proxy.upstream.streamable import Endpoint
from tests.harness.mcp_on_wire import event, head
from tests.harness.wire import Received, Wire, answer

SESSION = Session(Spoken(Era.HANDSHAKE, "2025-06-18"), "s1")
QUICK = Delays(first_s=0.02, last_s=0.08, least_s=0.01)
NEWS = event(b'{"jsonrpc":"2.0","method":"notifications/news"}')


class Listener:
    """Listens to the recorded server, and keeps what it hears."""

    def __init__(self, make_client: Callable[..., EgressClient], *, in_session: bool) -> None:
        self.heard: list[Message] = []
        endpoint = Endpoint("s", make_client("/mcp"), {})
        open_stream = partial(endpoint.listen, SESSION)
        self.listening = Listening("s", open_stream, self.hear, in_session=in_session, delays=QUICK)

    async def hear(self, message: Message) -> None:
        self.heard.append(message)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.Task[None]]:
        """Run it until the block is left."""
        task = asyncio.create_task(self.listening.run())
        yield task
        task.cancel()
        await asyncio.wait({task})


@pytest.fixture
async def listener(make_client: Callable[..., EgressClient]) -> Listener:
    """Give a listener in a session."""
    return Listener(make_client, in_session=True)


def answering(wire: Wire, *given: bytes) -> None:
    """Answer one after the other, then for ever the last."""
    left = list(given)

    async def handle(received: Received, writer: asyncio.StreamWriter) -> None:
        one = left.pop(0) if len(left) > 1 else left[0]
        writer.write(one)
        if one == STAYS:
            await asyncio.sleep(60)

    wire.handler = handle


STAYS = head() + NEWS


def stream(data: bytes) -> bytes:
    return answer(data, content_type="text/event-stream")


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.002)


async def test_what_comes_is_heard(wire: Wire, listener: Listener) -> None:
    """As it comes, while the stream stays open."""
    answering(wire, STAYS)
    async with listener.running():
        await until(lambda: len(listener.heard) == 1)
        assert listener.listening.opened.is_set()
    assert listener.heard[0].method == "notifications/news"


async def test_a_stream_that_ended_is_opened_behind_its_last_event(
    wire: Wire, listener: Listener
) -> None:
    """With the id the server gave it, after as long as it asks for."""
    answering(wire, stream(b"id: e1\nretry: 100\n" + NEWS), stream(NEWS))
    async with listener.running():
        await until(lambda: len(listener.heard) >= 1)
        await asyncio.sleep(0.05)
        assert len(wire.requests) == 1
        await until(lambda: len(listener.heard) >= 2)
    assert [one.header("last-event-id") for one in wire.requests[:2]] == [None, "e1"]


@pytest.mark.parametrize("status", [202, 400, 401, 405])
async def test_a_server_without_such_a_stream_is_left_alone(
    status: int, wire: Wire, listener: Listener
) -> None:
    """It said so, and is not asked again."""
    answering(wire, answer(b"", status))
    await listener.listening.run()
    assert listener.listening.opened.is_set()
    assert len(wire.requests) == 1


@pytest.mark.parametrize("in_session", [True, False])
async def test_a_session_that_is_over_is_told(
    in_session: bool, wire: Wire, make_client: Callable[..., EgressClient]
) -> None:
    """Without one, not found means that there is no such stream."""
    answering(wire, answer(b"", 404))
    listener = Listener(make_client, in_session=in_session)
    if in_session:
        with pytest.raises(SessionOver):
            await listener.listening.run()
    else:
        await listener.listening.run()


@pytest.mark.parametrize(
    "given",
    [
        answer(b"", 409),
        answer(b"", 429),
        answer(b"", 503),
        stream(event(b"nonsense")),
        stream(b"data: " + b"x" * (MAX_EVENT_BYTES + 10)),
        stream(b"retry: 0\n" + event(b"")),
    ],
)
async def test_what_may_pass_is_tried_again(given: bytes, wire: Wire, listener: Listener) -> None:
    """Later each time, until it works."""
    answering(wire, given, given, STAYS)
    async with listener.running():
        await until(lambda: len(listener.heard) == 1)
    assert len(wire.requests) == 3


async def test_a_server_that_is_away_is_tried_again(wire: Wire, listener: Listener) -> None:
    """And again, each time a little later, up to a bound."""
    answering(wire, answer(b"", 503))
    async with listener.running():
        await asyncio.sleep(0.4)
    assert 4 <= len(wire.requests) <= 9


async def test_a_flood_is_read_slowly(wire: Wire, listener: Listener) -> None:
    """So many messages a second and no more (A36)."""

    async def flood(received: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(head())
        while True:
            writer.write(NEWS * 100)
            await writer.drain()

    wire.handler = flood
    async with listener.running():
        await asyncio.sleep(1.2)
    assert MAX_PER_S <= len(listener.heard) <= 3 * MAX_PER_S


async def test_what_the_listener_raises_passes(
    wire: Wire, make_client: Callable[..., EgressClient]
) -> None:
    """It is a mistake of ours, not the server's."""
    answering(wire, STAYS)
    listener = Listener(make_client, in_session=True)

    async def hear(_: Any) -> None:
        raise ValueError("mine")

    listener.listening._hear = hear
    with pytest.raises(ValueError, match="mine"):
        await listener.listening.run()
