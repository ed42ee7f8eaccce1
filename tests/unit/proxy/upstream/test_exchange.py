"""One request over HTTP, and everything that can come back."""

import asyncio
from collections.abc import Callable

import pytest

from proxy.egress.client import EgressClient
from proxy.errors import OutcomeUnknown
from proxy.model.mcp import Era
from proxy.upstream.exchange import (
    Declined,
    Nonsense,
    Question,
    ServerError,
    Session,
    SessionOver,
)
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
    return Endpoint("s", make_client("/mcp"), {})


def answering(wire: Wire, given: bytes) -> None:
    async def handle(received: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(given)

    wire.handler = handle


def stream(*messages: bytes) -> bytes:
    body = b"".join(event(message) for message in messages)
    return answer(body, content_type="text/event-stream")


@pytest.mark.parametrize(
    "given",
    [
        answer(RIGHT),
        answer(RIGHT, 201, content_type="application/json; charset=utf-8"),
        stream(RIGHT),
        stream(b"", RIGHT),
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
        (answer(b"{", 200), Nonsense),
        (answer(b"[]"), Nonsense),
        (answer(b'{"jsonrpc":"2.0","id":7,"method":"ping"}'), Nonsense),
        (answer(b'{"jsonrpc":"2.0","id":8,"result":{}}'), Nonsense),
        (stream(), OutcomeUnknown),
        (stream(b"{"), Nonsense),
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


async def test_the_text_of_an_answer_is_kept(wire: Wire, endpoint: Endpoint) -> None:
    """Numbers as the server spelled them, in a body or a stream."""
    raw = b'{"a":1.0,"b":1e2,"c":12345678901234567890}'
    message = b'{"jsonrpc":"2.0","id":7,"result":%b}' % raw
    for given in (answer(message), stream(message)):
        answering(wire, given)
        assert (await endpoint.ask(SESSION, ASKED))[0].raw == raw


def test_what_a_session_adds() -> None:
    """Version and id, and before the handshake nothing but what is accepted."""
    assert Session().headers("initialize").keys() == {"Accept"}
    assert SESSION.headers()["Mcp-Session-Id"] == "s1"
    assert (SESSION.is_resumable, STATELESS.is_resumable, Session().is_resumable) == (
        True,
        False,
        False,
    )
