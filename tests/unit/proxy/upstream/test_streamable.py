"""One POST of streamable HTTP, and everything that can come back."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from proxy.egress.client import EgressClient
from proxy.errors import OutcomeUnknown, UpstreamFailed
from proxy.model.mcp import Era
from proxy.upstream.mcp_wire import Spoken
from proxy.upstream.streamable import (
    MAX_COURTESIES,
    Declined,
    Endpoint,
    Question,
    ServerError,
    Session,
    SessionOver,
)
from tests.harness.mcp_on_wire import event
from tests.harness.wire import Received, Wire, answer

SESSION = Session(Spoken(Era.HANDSHAKE, "2025-06-18"), "s1")
STATELESS = Session(Spoken(Era.STATELESS, "2026-07-28"))
RIGHT = b'{"jsonrpc":"2.0","id":7,"result":{"right":1}}'
ASKED = Question(7, "tools/call", b"{}", {"X-Lease": "a"}, 1)


@pytest.fixture
def changes() -> list[int]:
    """Give what on_changed was called with."""
    return []


@pytest.fixture
async def endpoint(make_client: Callable[..., EgressClient], changes: list[int]) -> Endpoint:
    """Give the recorded server as an endpoint."""
    client = make_client("/mcp")
    return Endpoint("s", client, {"X-Static": "b", "X-Lease": "c"}, lambda: changes.append(1))


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


@pytest.mark.parametrize(
    "given",
    [
        answer(RIGHT),
        answer(RIGHT, 201, content_type="application/json; charset=utf-8"),
        stream(RIGHT),
        stream(b'{"jsonrpc":"2.0","method":"notifications/message"}', RIGHT),
        stream(b'{"jsonrpc":"2.0","id":8,"result":{"wrong":1}}', RIGHT),
        stream(b'{"jsonrpc":"2.0","id":"7","result":{"wrong":1}}', RIGHT),
        stream(RIGHT, b'{"jsonrpc":"2.0","id":7,"result":{"wrong":1}}'),
        answer(event(RIGHT), content_type="text/event-stream; charset=utf-8"),
    ],
)
async def test_the_answer_is_found(given: bytes, wire: Wire, endpoint: Endpoint) -> None:
    """In a body or a stream, between other messages; the first one counts."""
    answering(wire, given)
    message, _ = await endpoint.ask(SESSION, ASKED)
    assert message.result == {"right": 1}


ERROR = b'{"jsonrpc":"2.0","id":%b,"error":{"code":-32602,"message":"m"}}'


@pytest.mark.parametrize("status", [200, 400, 405, 429])
@pytest.mark.parametrize("number", [b"7", b"null"])
async def test_an_error_is_an_answer(
    status: int, number: bytes, wire: Wire, endpoint: Endpoint
) -> None:
    """With a status of 4xx the id may be null."""
    answering(wire, answer(ERROR % number, status))
    if status == 200 and number == b"null":
        with pytest.raises(OutcomeUnknown):
            await endpoint.ask(SESSION, ASKED)
    else:
        message, _ = await endpoint.ask(SESSION, ASKED)
        assert message.error is not None


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (answer(b"", 301, location="/x"), Declined),
        (answer(b"no", 401), Declined),
        (answer(RIGHT, 403), Declined),
        (answer(ERROR % b"8", 400), Declined),
        (answer(ERROR % b"7", 404), SessionOver),
        (answer(b"", 404), SessionOver),
        (answer(b"", 500), ServerError),
        (answer(ERROR % b"7", 503), ServerError),
        (answer(b"", 202), OutcomeUnknown),
        (answer(b"{", 200), OutcomeUnknown),
        (answer(b"[]"), OutcomeUnknown),
        (answer(b'{"jsonrpc":"2.0","id":7,"method":"ping"}'), OutcomeUnknown),
        (answer(b'{"jsonrpc":"2.0","id":8,"result":{}}'), OutcomeUnknown),
        (stream(), OutcomeUnknown),
        (stream(b"{"), OutcomeUnknown),
        (stream(b'{"jsonrpc":"2.0","id":8,"result":{}}'), OutcomeUnknown),
        (answer(event(RIGHT)[:-3], content_type="text/event-stream"), OutcomeUnknown),
        (answer(b"", content_length="20000000"), OutcomeUnknown),
        (answer(RIGHT, content_encoding="gzip"), OutcomeUnknown),
    ],
)
async def test_what_is_no_answer(
    given: bytes, problem: type[Exception], wire: Wire, endpoint: Endpoint
) -> None:
    """A refusal failed; silence, nonsense and server errors are unknown."""
    answering(wire, given)
    with pytest.raises(problem):
        await endpoint.ask(SESSION, ASKED)
    assert len(wire.requests) == 1


async def test_not_found_without_a_session_is_declined(wire: Wire, endpoint: Endpoint) -> None:
    """There is no session that could be over."""
    answering(wire, answer(b"", 404))
    with pytest.raises(Declined):
        await endpoint.ask(STATELESS, ASKED)


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


async def test_a_servers_requests_are_answered(
    wire: Wire, endpoint: Endpoint, changes: list[int]
) -> None:
    """By POSTs of their own; a changed list is told."""
    beside = [
        b'{"jsonrpc":"2.0","id":1,"method":"ping"}',
        b'{"jsonrpc":"2.0","id":"b","method":"elicitation/create"}',
        b'{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}',
    ]

    async def handle(received: Received, writer: asyncio.StreamWriter) -> None:
        asked = b"tools/call" in received.body
        writer.write(stream(*beside, RIGHT) if asked else answer(b"", 202))

    wire.handler = handle
    await endpoint.ask(SESSION, ASKED)
    await wire.until(3)
    replies: list[dict[str, Any]] = [json.loads(one.body) for one in wire.requests[1:]]
    assert sorted(str(one["id"]) for one in replies) == ["1", "b"]
    assert {one.header("mcp-session-id") for one in wire.requests} == {"s1"}
    assert {one.header("x-lease") for one in wire.requests[1:]} == {"c"}
    assert changes == [1]


async def test_a_flood_of_requests_is_not_answered(wire: Wire, endpoint: Endpoint) -> None:
    """Beyond a bound of answers under way a server's wishes are dropped."""
    ping = b'{"jsonrpc":"2.0","id":1,"method":"ping"}'
    go_on = asyncio.Event()

    async def handle(received: Received, writer: asyncio.StreamWriter) -> None:
        if b"tools/call" in received.body:
            writer.write(stream(*[ping] * 500, RIGHT))
        else:
            await go_on.wait()
            writer.write(answer(b"", 202))

    wire.handler = handle
    await endpoint.ask(SESSION, ASKED)
    await wire.until(1 + MAX_COURTESIES)
    go_on.set()
    await endpoint.close(None)
    assert len(wire.requests) == 1 + MAX_COURTESIES


async def test_a_notification_is_seen_taken(wire: Wire, endpoint: Endpoint) -> None:
    """One that is refused failed."""
    answering(wire, answer(b"", 202))
    await endpoint.notify(SESSION, b"{}")
    answering(wire, answer(b"", 403))
    with pytest.raises(Declined):
        await endpoint.notify(SESSION, b"{}")


async def test_closing_ends_the_session(wire: Wire, endpoint: Endpoint) -> None:
    """A DELETE with its id; a server that does not know how is no problem."""
    answering(wire, answer(b"", 405))
    await endpoint.close(SESSION)
    assert wire.requests[0].line == "DELETE /mcp HTTP/1.1"
    assert wire.requests[0].header("mcp-session-id") == "s1"
    with pytest.raises(UpstreamFailed):
        await endpoint.ask(SESSION, ASKED)


async def test_closing_without_a_session_sends_nothing(wire: Wire, endpoint: Endpoint) -> None:
    """There is nothing to end."""
    await endpoint.close(STATELESS)
    assert wire.bytes_seen == 0


async def test_a_static_header_may_not_frame(make_client: Callable[..., EgressClient]) -> None:
    """The same rules as for a lease."""
    with pytest.raises(UpstreamFailed):
        Endpoint("s", make_client(), {"Mcp-Session-Id": "x"}, lambda: None)
