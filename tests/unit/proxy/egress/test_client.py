"""The client of one server: what goes out, what is taken, how it fails."""

import asyncio
import socket
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from proxy.egress.addresses import AddressPolicy
from proxy.egress.client import EgressClient, EgressLimits, EgressRequest
from proxy.errors import EgressRefused, OutcomeUnknown, Refused, UpstreamFailed
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


async def test_the_environments_proxy_is_not_used(
    wire: Wire, client: EgressClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HTTP_PROXY and the like change nothing."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert (await client.request(ask(wire.url), sending)).status == 200


async def test_connections_are_kept(wire: Wire, client: EgressClient) -> None:
    """Calls one after the other share one connection."""
    for _ in range(3):
        await client.request(ask(wire.url), sending)
    assert wire.connections == 1


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
        await asyncio.sleep(0.01)
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
        await client.request(ask(wire.url, timeout_s=0.2), sending)
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


async def test_a_refused_connection_failed(make_client: MakeClient) -> None:
    """Nobody listens: nothing was sent, and the gate was not asked."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(UpstreamFailed, match="cannot be reached"):
            await make_client(url).request(ask(url), _never)


def _never() -> None:
    raise AssertionError("the gate was asked")


async def test_a_name_that_does_not_resolve_failed(make_client: MakeClient) -> None:
    """`.invalid` (RFC 6761) never resolves."""
    url = "http://nowhere.invalid"
    with pytest.raises(UpstreamFailed, match="resolve"):
        await make_client(url).request(ask(url), _never)


async def test_a_closed_client_failed(wire: Wire, client: EgressClient) -> None:
    """After close nothing is sent, and nobody is asked."""
    await client.close()
    with pytest.raises(UpstreamFailed, match="closed"):
        await client.request(ask(wire.url), _never)


async def test_a_full_pool_failed_in_time(wire: Wire, make_client: MakeClient) -> None:
    """Waiting for a connection counts against the time-out, and nothing was sent."""
    wire.handler = _silence
    client = make_client(limits=EgressLimits(connections=1))
    first = asyncio.create_task(client.request(ask(wire.url), sending))
    await wire.until(1)
    with pytest.raises(UpstreamFailed, match="in time"):
        await client.request(ask(wire.url, timeout_s=0.1), _never)
    first.cancel()


async def test_a_connection_that_hangs_failed_in_time(make_client: MakeClient) -> None:
    """A listener whose queue is full does not hold a call longer than the connect time-out."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        address = deaf.getsockname()
        fillers = [_knock(address) for _ in range(3)]
        url = f"http://127.0.0.1:{address[1]}"
        client = make_client(url, EgressLimits(connect_timeout_s=0.1))
        with pytest.raises(UpstreamFailed, match="in time"):
            await client.request(ask(url), _never)
        for filler in fillers:
            filler.close()


def _knock(address: tuple[str, int]) -> socket.socket:
    knocking = socket.socket()
    knocking.setblocking(False)
    knocking.connect_ex(address)
    return knocking


async def test_tls_with_the_configured_authority(
    tls_wire: Wire, make_client: MakeClient, authority: Path
) -> None:
    """A certificate of the configured authority for that name is accepted."""
    client = make_client(tls_wire.url, ca_file=str(authority))
    assert (await client.request(ask(tls_wire.url), sending)).status == 200


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_an_unknown_authority_failed(
    host: str, tls_wire: Wire, make_client: MakeClient
) -> None:
    """A certificate that does not verify ends the call before its first byte."""
    url = tls_wire.url.replace("127.0.0.1", host)
    with pytest.raises(UpstreamFailed, match="certificate"):
        await make_client(url).request(ask(url), _never)
    assert tls_wire.bytes_seen == 0


async def test_a_certificate_for_another_name_failed(
    tls_wire: Wire, make_client: MakeClient, authority: Path
) -> None:
    """The name in the URL has to be in the certificate."""
    url = tls_wire.url.replace("127.0.0.1", "127.0.0.2")
    with pytest.raises(UpstreamFailed):
        await make_client(url, ca_file=str(authority)).request(ask(url), _never)


async def test_plain_text_where_tls_is_expected_failed(wire: Wire, make_client: MakeClient) -> None:
    """A server that does not speak TLS gets no request."""
    url = wire.url.replace("http:", "https:")
    with pytest.raises(UpstreamFailed):
        await make_client(url).request(ask(url, timeout_s=1), _never)


async def test_a_literal_address_is_checked(wire: Wire) -> None:
    """A literal is not resolved, so the client looks at it itself."""
    with pytest.raises(EgressRefused):
        EgressClient(wire.url.replace("http:", "https:"), AddressPolicy())


async def test_a_name_that_resolves_to_a_refused_address_failed(wire: Wire) -> None:
    """The address is judged after resolution, on the connection itself."""
    client = EgressClient("https://localhost", AddressPolicy())
    with pytest.raises(UpstreamFailed, match="loopback"):
        await client.request(ask("https://localhost/"), _never)
    await client.close()


@pytest.mark.parametrize(
    "answers",
    [["8.8.8.8", "10.0.0.1"], ["10.0.0.1", "8.8.8.8"], ["8.8.8.8", "169.254.169.254"]],
)
async def test_one_refused_address_refuses_the_name(
    answers: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name with an admitted and a refused address is taken for rebinding: no connection."""

    async def resolved(*_: object, **__: object) -> list[object]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, 443)) for one in answers]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolved)
    client = EgressClient("https://api.example.com", AddressPolicy())
    with pytest.raises(UpstreamFailed, match="the gateway"):
        await client.request(ask("https://api.example.com/"), _never)
    await client.close()


async def test_the_connected_address_is_checked_whatever_the_resolver_said(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the resolver's check the socket is still not made."""
    monkeypatch.setattr("proxy.egress.client._CheckedResolver.resolve", _loopback)
    client = EgressClient("https://api.example.com", AddressPolicy())
    with pytest.raises(UpstreamFailed, match="loopback"):
        await client.request(ask("https://api.example.com/"), _never)
    assert wire.connections == 0
    await client.close()


async def _loopback(*_: object, **__: object) -> list[dict[str, object]]:
    return [
        {"hostname": "a", "host": "127.0.0.1", "port": 443, "family": 2, "proto": 6, "flags": 0}
    ]


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
