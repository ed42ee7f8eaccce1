"""Streams that break and are picked up again (MCP 2025-11-25, resumability)."""

import asyncio
from collections.abc import Callable

import pytest

from proxy.egress.client import EgressClient
from proxy.errors import OutcomeUnknown
from proxy.model.mcp import Era
from proxy.upstream.exchange import (
    Question,
    Session,
)
from proxy.upstream.mcp_wire import Spoken
from proxy.upstream.streamable import Endpoint
from tests.harness.mcp_on_wire import event, head
from tests.harness.wire import Received, Wire, answer

SESSION = Session(Spoken(Era.HANDSHAKE, "2025-06-18"), "s1")
STATELESS = Session(Spoken(Era.STATELESS, "2026-07-28"))
RIGHT = b'{"jsonrpc":"2.0","id":7,"result":{"right":1}}'
ASKED = Question(7, "tools/call", b"{}", {"X-Lease": "a"}, 1)


@pytest.fixture
async def endpoint(make_client: Callable[..., EgressClient]) -> Endpoint:
    """Give the recorded server as an endpoint."""
    return Endpoint("s", make_client("/mcp"), {"X-Static": "b", "X-Lease": "c"})


def answering(wire: Wire, given: bytes) -> None:
    async def handle(received: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(given)

    wire.handler = handle


def stream(*messages: bytes) -> bytes:
    body = b"".join(event(message) for message in messages)
    return answer(body, content_type="text/event-stream")


class Leaves:
    """A server that closes the stream of a call and has the answer for who comes back."""

    def __init__(self, wire: Wire, *later: bytes, first: bytes = b"id: e1\nretry: 60\n") -> None:
        self.later = list(later)
        self.first = first
        wire.handler = self.handle

    async def handle(self, received: Received, writer: asyncio.StreamWriter) -> None:
        if received.line.startswith("POST"):
            body = self.first + b"data:\n\n"
            writer.write(answer(body, content_type="text/event-stream"))
        else:
            writer.write(self.later.pop(0))


async def test_a_stream_that_broke_is_picked_up(wire: Wire, endpoint: Endpoint) -> None:
    """Behind the last event, after as long as the server asks for, with the call's headers."""
    again = answer(b"id: e2\ndata:\n\n", content_type="text/event-stream")
    Leaves(wire, again, stream(RIGHT))
    began = asyncio.get_running_loop().time()
    message, _ = await endpoint.ask(SESSION, ASKED)
    assert message.result == {"right": 1}
    assert asyncio.get_running_loop().time() - began >= 0.12
    _, *gets = wire.requests
    assert [one.header("last-event-id") for one in gets] == ["e1", "e2"]
    assert {one.header("x-lease") for one in gets} == {"a"}


@pytest.mark.parametrize("later", [answer(b"", 404), answer(b"", 405), answer(RIGHT), stream(b"{")])
async def test_a_stream_that_cannot_be_picked_up_is_unknown(
    later: bytes, wire: Wire, endpoint: Endpoint
) -> None:
    """The call was made, and its answer is lost."""
    Leaves(wire, later)
    with pytest.raises(OutcomeUnknown):
        await endpoint.ask(SESSION, ASKED)
    assert len(wire.requests) == 2


async def test_a_stream_is_not_picked_up_beyond_the_time(wire: Wire, endpoint: Endpoint) -> None:
    """However long the server wants to be left alone."""
    Leaves(wire, first=b"id: e1\nretry: 60000\n")
    with pytest.raises(OutcomeUnknown, match="in time"):
        await endpoint.ask(SESSION, ASKED)
    assert len(wire.requests) == 1


async def test_a_server_that_is_gone_cannot_be_picked_up(wire: Wire, endpoint: Endpoint) -> None:
    """What became of the call is not known."""
    Leaves(wire, first=b"id: e1\nretry: 300\n")
    asking = asyncio.create_task(endpoint.ask(SESSION, ASKED))
    await wire.until(1)
    await wire.__aexit__()
    with pytest.raises(OutcomeUnknown):
        await asking


async def test_a_stateless_stream_is_not_picked_up(wire: Wire, endpoint: Endpoint) -> None:
    """MCP 2026-07-28 has no such thing."""
    Leaves(wire)
    with pytest.raises(OutcomeUnknown, match="ended"):
        await endpoint.ask(STATELESS, ASKED)
    assert len(wire.requests) == 1


async def test_who_asks_is_told_that_the_server_left(wire: Wire, endpoint: Endpoint) -> None:
    """Once, with the time it wants to be left alone; a client may be let go meanwhile."""
    Leaves(wire, stream(RIGHT))
    pauses: list[float] = []

    async def pause(retry_s: float) -> None:
        pauses.append(retry_s)

    await endpoint.ask(SESSION, ASKED, pause=pause)
    assert pauses == [0.06]


async def test_a_broken_connection_is_no_leaving(wire: Wire, endpoint: Endpoint) -> None:
    """Of that the client hears nothing."""
    leaves, pauses = Leaves(wire, stream(RIGHT)), list[float]()

    async def handle(received: Received, writer: asyncio.StreamWriter) -> None:
        if not received.line.startswith("POST"):
            await leaves.handle(received, writer)
            return
        begun = b"id: e1\nretry: 60\ndata:\n\n"
        writer.write(head(transfer_encoding="chunked") + b"%x\r\n%b\r\n" % (len(begun), begun))
        await writer.drain()
        writer.close()

    async def pause(retry_s: float) -> None:
        pauses.append(retry_s)

    wire.handler = handle
    await endpoint.ask(SESSION, ASKED, pause=pause)
    assert pauses == []
