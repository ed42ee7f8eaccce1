"""The client of one server: what goes out, what is taken, how it fails."""

import asyncio
from collections.abc import Callable, Mapping

import pytest

from proxy.egress.client import EgressClient, EgressRequest
from proxy.errors import OutcomeUnknown, Refused, UpstreamFailed
from tests.harness.wire import Received, Wire, answer

MakeClient = Callable[..., EgressClient]
NOTHING: Mapping[str, str] = {}


def sending() -> None:
    """Nothing stands against it."""


def ask(url: str, timeout_s: float = 5, max_bytes: int = 1000) -> EgressRequest:
    return EgressRequest("POST", url, NOTHING, b"{}", timeout_s, max_bytes)


async def test_only_the_headers_given_go_out(wire: Wire, client: EgressClient) -> None:
    """Beside the caller's headers there are four, and none tells a version."""
    request = EgressRequest("POST", f"{wire.url}/a", {"X-Lease": "token"}, b"{}")
    await client.request(request, sending)
    received = wire.requests[0]
    assert received.names == {"host", "x-lease", "user-agent", "accept-encoding", "content-length"}
    assert received.header("user-agent") == "detent"
    assert received.header("accept-encoding") == "identity"


async def test_the_target_is_sent_as_it_was_given(wire: Wire, client: EgressClient) -> None:
    """No part of path or query is decoded, re-encoded or shortened."""
    target = "/a/%2e%2e/b;c//d%2Fe?q=%41+b&q=&x=%zz"
    await client.request(EgressRequest("GET", wire.url + target, NOTHING), sending)
    assert wire.requests[0].target == target


async def test_the_answer_comes_whole(wire: Wire, client: EgressClient) -> None:
    """Status, headers in any letter case, and the body's bytes."""

    async def handle(received: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(b"\x00\xff", 418, x_kind="pot"))

    wire.handler = handle
    got = await client.request(ask(wire.url), sending)
    assert (got.status, got.headers["X-KIND"], got.body) == (418, "pot", b"\x00\xff")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_answers(status: int, wire: Wire, client: EgressClient) -> None:
    """A redirect is returned, not followed, so no header is sent anywhere else."""

    async def handle(received: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(b"", status, location="/elsewhere"))

    wire.handler = handle
    assert (await client.request(ask(wire.url), sending)).status == status
    assert len(wire.requests) == 1


async def test_cookies_are_not_kept(wire: Wire, make_client: MakeClient) -> None:
    """A cookie the server sets never comes back to it."""

    async def handle(received: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(set_cookie="a=b"))

    wire.handler = handle
    url = wire.url.replace("127.0.0.1", "localhost")
    client = make_client(url)
    for _ in range(2):
        await client.request(ask(url), sending)
    assert wire.requests[1].header("cookie") is None


async def test_nothing_is_unpacked(client: EgressClient) -> None:
    """Not even before the answer is refused for being packed."""
    assert not client._session.auto_decompress


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1/x",
        "http://localhost/x",
        "https://127.0.0.1/x",
        "http://user@127.0.0.1/x",
        "http://[::1/x",
        "/x",
    ],
)
async def test_another_origin_is_not_asked(url: str, wire: Wire, client: EgressClient) -> None:
    """A URL outside the configured server is refused before anything is sent."""
    with pytest.raises(UpstreamFailed, match="URL"):
        await client.request(ask(url), sending)


@pytest.mark.parametrize("tail", ["/a b", "/a\r\nX: 1", "/a\x00", "/ä", "/a\\b", "/a#b"])
async def test_broken_urls_are_not_sent(tail: str, wire: Wire, client: EgressClient) -> None:
    """What cannot stand in a request line is refused, not repaired."""
    with pytest.raises(UpstreamFailed, match="characters"):
        await client.request(ask(wire.url + tail), sending)
    assert wire.bytes_seen == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [("X", "a\r\nY: b"), ("X", "a\x00"), ("X", "ä"), ("X: Y", "a"), ("", "a"), ("X\n", "a")],
)
async def test_broken_headers_are_not_sent(
    name: str, value: str, wire: Wire, client: EgressClient
) -> None:
    """No header can carry another one."""
    request = EgressRequest("GET", wire.url, {name: value})
    with pytest.raises(UpstreamFailed, match="header"):
        await client.request(request, sending)
    assert wire.bytes_seen == 0


async def _reset(received: Received, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def _silence(received: Received, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(60)


async def _cut(received: Received, writer: asyncio.StreamWriter) -> None:
    writer.write(answer(b"{}", content_length="100"))
    writer.close()


async def _cut_chunks(received: Received, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
    writer.close()


async def _drip(received: Received, writer: asyncio.StreamWriter) -> None:
    writer.write(answer(b"", content_length="100"))
    while True:
        await asyncio.sleep(0.1)
        writer.write(b"x")


async def _large(received: Received, writer: asyncio.StreamWriter) -> None:
    writer.write(answer(b"x" * 1001))


async def _large_unannounced(received: Received, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 1001)
    writer.close()


async def _encoded(received: Received, writer: asyncio.StreamWriter) -> None:
    writer.write(answer(b"\x1f\x8b", content_encoding="gzip"))


async def _garbage(received: Received, writer: asyncio.StreamWriter) -> None:
    writer.write(b"\x00\x01\x02 no http\r\n\r\n")


@pytest.mark.parametrize(
    "handler",
    [
        _reset,
        _silence,
        _cut,
        _cut_chunks,
        _drip,
        _large,
        _large_unannounced,
        _encoded,
        _garbage,
    ],
)
async def test_after_the_first_byte_the_outcome_is_unknown(
    handler: Callable[[Received, asyncio.StreamWriter], None],
    wire: Wire,
    client: EgressClient,
) -> None:
    """Whatever is wrong with the answer, the request was there and may have had its effect."""
    wire.handler = handler  # type: ignore[assignment]  # parametrised
    with pytest.raises(OutcomeUnknown):
        await client.request(ask(wire.url, timeout_s=1.5), sending)
    assert len(wire.requests) == 1


async def test_a_cancelled_request_ends_its_connection(wire: Wire, client: EgressClient) -> None:
    """Cancelling raises through and the server sees the connection close."""
    wire.handler = _silence
    task = asyncio.create_task(client.request(ask(wire.url), sending))
    await wire.until(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert client._session.connector._acquired == set()  # type: ignore[union-attr]  # open


async def test_a_stream_comes_in_pieces(wire: Wire, client: EgressClient) -> None:
    """Each piece is given when it comes, before the answer ends."""
    go_on = asyncio.Event()

    async def handle(received: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(b"first", content_length="11"))
        await go_on.wait()
        writer.write(b"second")

    wire.handler = handle
    seen: list[bytes] = []
    async with client.stream(ask(wire.url), sending) as got:
        async for chunk in got.chunks():
            seen.append(chunk)
            go_on.set()
    assert seen == [b"first", b"second"]


async def test_leaving_a_stream_closes_its_connection(wire: Wire, client: EgressClient) -> None:
    """A half-read connection is not used again."""
    wire.handler = _drip
    async with client.stream(ask(wire.url), sending) as got:
        assert got.status == 200
    wire.handler = None
    await client.request(ask(wire.url), sending)
    assert wire.connections == 2


async def test_a_little_rest_is_read_over(wire: Wire, client: EgressClient) -> None:
    """What follows at once does not cost the connection."""
    go_on = asyncio.Event()

    async def handle(received: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(b"first", content_length="9"))
        await go_on.wait()
        writer.write(b"rest")

    wire.handler = handle
    for _ in range(2):
        async with client.stream(ask(wire.url), sending) as got:
            assert await anext(got.chunks()) == b"first"
            go_on.set()
            await got.drain(1)
        go_on.clear()
    assert wire.connections == 1


async def test_an_error_of_the_reader_passes_through(wire: Wire, client: EgressClient) -> None:
    """What the caller raises inside a stream is not taken for a broken connection."""
    with pytest.raises(Refused):
        async with client.stream(ask(wire.url), sending):
            raise Refused.because("killed")


async def test_no_secret_shows_in_a_repr_or_an_error(wire: Wire) -> None:
    """Headers and bodies of requests and answers stay out of reprs."""
    request = EgressRequest("GET", wire.url, {"Authorization": "s3cret"}, b"s3cret")
    assert "s3cret" not in repr(request)
