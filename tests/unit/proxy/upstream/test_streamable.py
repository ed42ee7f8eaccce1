"""One endpoint: requests, answers to the server, streams to listen to."""

import asyncio
from collections.abc import Callable

import pytest

from proxy.egress.client import EgressClient
from proxy.errors import OutcomeUnknown, UpstreamFailed
from proxy.model.mcp import Era
from proxy.upstream.exchange import (
    Declined,
    Question,
    Session,
)
from proxy.upstream.jsonrpc import Message
from proxy.upstream.mcp_wire import Spoken
from proxy.upstream.streamable import Endpoint
from tests.harness.mcp_on_wire import event
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


async def test_a_request_of_a_session(wire: Wire, endpoint: Endpoint) -> None:
    """Path as configured, version and session id, static headers, the call's own before them."""
    answering(wire, answer(RIGHT, mcp_session_id="s2"))
    message, session_id = await endpoint.ask(SESSION, ASKED)
    (received,) = wire.requests
    assert (message.result, session_id) == ({"right": 1}, "s2")
    assert received.line == "POST /mcp HTTP/1.1"
    assert received.body == b'{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{}}'
    expected = {
        "accept": "application/json, text/event-stream",
        "content-type": "application/json",
        "mcp-protocol-version": "2025-06-18",
        "mcp-session-id": "s1",
        "x-static": "b",
        "x-lease": "a",
    }
    assert {name: received.header(name) for name in expected} == expected
    assert received.header("mcp-method") is None


async def test_a_stateless_request_names_its_method(wire: Wire, endpoint: Endpoint) -> None:
    """And has no session."""
    answering(wire, answer(RIGHT))
    await endpoint.ask(STATELESS, ASKED)
    assert wire.requests[0].header("mcp-method") == "tools/call"
    assert wire.requests[0].header("mcp-session-id") is None


async def test_a_stream_that_never_ends_is_unknown_in_time(wire: Wire, endpoint: Endpoint) -> None:
    """Notifications do not keep a call alive beyond its time-out."""

    async def handle(received: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        while True:
            writer.write(event(b'{"jsonrpc":"2.0","method":"notifications/progress"}'))
            await asyncio.sleep(0.05)

    wire.handler = handle
    with pytest.raises(OutcomeUnknown, match="in time"):
        await endpoint.ask(SESSION, ASKED)


async def test_a_stream_that_stays_open_does_not_hold_the_answer(
    wire: Wire, endpoint: Endpoint
) -> None:
    """The answer is taken at once; only the connection is lost."""

    async def handle(received: Received, writer: asyncio.StreamWriter) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
        writer.write(head + event(RIGHT))
        await writer.drain()
        await asyncio.sleep(60)

    wire.handler = handle
    message, _ = await endpoint.ask(SESSION, ASKED)
    assert message.result == {"right": 1}


async def test_a_stream_that_ends_keeps_its_connection(wire: Wire, endpoint: Endpoint) -> None:
    """Calls answered as streams share a connection like others."""

    async def handle(received: Received, writer: asyncio.StreamWriter) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
        data = event(RIGHT)
        chunk = b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n" % (len(data), data)
        writer.write(head + chunk)
        await writer.drain()
        await asyncio.sleep(0)
        writer.write(b"0\r\n\r\n")

    wire.handler = handle
    for _ in range(3):
        await endpoint.ask(SESSION, ASKED)
    assert wire.connections == 1


async def test_what_comes_beside_the_answer_is_heard(wire: Wire, endpoint: Endpoint) -> None:
    """Message by message, before the answer, and nothing after it."""
    told = [b'{"jsonrpc":"2.0","method":"m%d","params":{"a":1.0}}' % number for number in range(3)]
    answering(wire, stream(*told, b'{"jsonrpc":"2.0","id":"x","method":"ask"}', RIGHT, told[0]))
    heard: list[Message] = []

    async def hear(message: Message) -> None:
        heard.append(message)

    await endpoint.ask(SESSION, ASKED, hear)
    assert [one.method for one in heard] == ["m0", "m1", "m2", "ask"]
    assert heard[0].raw == b'{"a":1.0}'


async def test_a_slow_listener_slows_the_server_down(wire: Wire, endpoint: Endpoint) -> None:
    """No more is read than is heard, so what waits is bounded by the connection."""
    written: list[int] = []
    big = event(b'{"jsonrpc":"2.0","method":"m","params":{"a":"%b"}}' % (b"x" * 100_000))

    async def handle(received: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        for _ in range(200):
            writer.write(big)
            await writer.drain()
            written.append(1)

    async def hear(message: Message) -> None:
        await asyncio.sleep(60)

    wire.handler = handle
    asking = asyncio.create_task(endpoint.ask(SESSION, ASKED, hear))
    await asyncio.sleep(0.5)
    assert len(written) < 150
    asking.cancel()
    await asyncio.wait({asking})


async def test_an_answer_to_the_server_is_seen_taken(wire: Wire, endpoint: Endpoint) -> None:
    """In the session, with the headers of its call."""
    answering(wire, answer(b"", 202))
    await endpoint.reply(SESSION, b'{"x":1}', {"X-Lease": "a"})
    (received,) = wire.requests
    assert (received.body, received.header("x-lease")) == (b'{"x":1}', "a")
    assert received.header("mcp-session-id") == "s1"
    answering(wire, answer(b"", 403))
    with pytest.raises(Declined):
        await endpoint.reply(SESSION, b"{}", {})


async def test_what_is_told_in_the_background_may_fail(wire: Wire, endpoint: Endpoint) -> None:
    """Nobody waits for it but the end."""
    answering(wire, answer(b"", 500))
    endpoint.tell(SESSION, b'{"x":1}', {"X-Lease": "a"})
    await endpoint.close()
    assert wire.requests[0].header("x-lease") == "a"


async def test_a_notification_is_seen_taken(wire: Wire, endpoint: Endpoint) -> None:
    """One that is refused failed."""
    answering(wire, answer(b"", 202))
    await endpoint.notify(SESSION, b"{}")
    answering(wire, answer(b"", 403))
    with pytest.raises(Declined):
        await endpoint.notify(SESSION, b"{}")


async def test_the_end_of_a_session_is_told(wire: Wire, endpoint: Endpoint) -> None:
    """A DELETE with its id; a server that does not know how is no problem."""
    answering(wire, answer(b"", 405))
    endpoint.end(SESSION)
    await endpoint.close()
    assert wire.requests[0].line == "DELETE /mcp HTTP/1.1"
    assert wire.requests[0].header("mcp-session-id") == "s1"
    with pytest.raises(UpstreamFailed):
        await endpoint.ask(SESSION, ASKED)


async def test_without_a_session_nothing_is_told(wire: Wire, endpoint: Endpoint) -> None:
    """There is nothing to end."""
    endpoint.end(STATELESS)
    await endpoint.close()
    assert wire.bytes_seen == 0


async def test_a_stream_to_listen_to(wire: Wire, endpoint: Endpoint) -> None:
    """A GET in the session, behind the last event."""
    answering(wire, stream(RIGHT))
    async with endpoint.listen(SESSION, "e7") as response:
        assert response.status == 200
    (received,) = wire.requests
    assert received.line == "GET /mcp HTTP/1.1"
    expected = {
        "accept": "text/event-stream",
        "last-event-id": "e7",
        "mcp-session-id": "s1",
        "content-type": None,
        "x-static": "b",
    }
    assert {name: received.header(name) for name in expected} == expected


async def test_a_request_that_stays_open(wire: Wire, endpoint: Endpoint) -> None:
    """Its answer is as long as it lasts."""
    answering(wire, stream(RIGHT))
    async with endpoint.subscribe(STATELESS, ASKED) as response:
        assert response.status == 200
    assert wire.requests[0].header("mcp-method") == "tools/call"


async def test_a_static_header_may_not_frame(make_client: Callable[..., EgressClient]) -> None:
    """The same rules as for a lease."""
    with pytest.raises(UpstreamFailed):
        Endpoint("s", make_client(), {"Mcp-Session-Id": "x"})
