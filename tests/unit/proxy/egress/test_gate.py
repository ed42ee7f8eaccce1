"""The gate: asked once, right before the first byte."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from aiohttp import BaseConnector, ClientConnectionError, ClientRequest, ClientResponse
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.http import StreamWriter
from yarl import URL

from proxy.egress.client import EgressClient, EgressLimits, EgressRequest
from proxy.egress.gate import Gate, GatedRequest
from proxy.errors import OutcomeUnknown, Refused, UpstreamFailed
from tests.harness.wire import Received, Wire, answer


def ask(wire: Wire, method: str = "POST", body: bytes = b"{}") -> EgressRequest:
    return EgressRequest(method, f"{wire.url}/x", {"X-A": "1"}, body, timeout_s=5)


def refuse() -> None:
    raise Refused.because("killed")


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_a_refusal_at_the_gate_sends_no_byte(
    method: str, wire: Wire, client: EgressClient
) -> None:
    """What on_send raises ends the request as it is, and the server sees 0 bytes."""
    with pytest.raises(Refused):
        await client.request(ask(wire, method), refuse)
    await client.close()
    await wire.closed.wait()
    assert wire.bytes_seen == 0


async def test_a_refusal_on_a_kept_alive_connection_sends_no_byte(
    wire: Wire, client: EgressClient
) -> None:
    """A pooled connection that is at hand is asked for as well."""
    await client.request(ask(wire), lambda: None)
    before = wire.bytes_seen
    with pytest.raises(Refused):
        await client.request(ask(wire), refuse)
    await client.close()
    assert (wire.connections, wire.bytes_seen) == (1, before)


async def test_nothing_runs_between_the_gate_and_the_write(
    wire: Wire, client: EgressClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No other callback of the loop runs between the gate and the write."""
    order: list[str] = []
    original = StreamWriter._write

    def write(writer: StreamWriter, chunk: bytes) -> None:
        order.append("write")
        original(writer, chunk)

    monkeypatch.setattr(StreamWriter, "_write", write)

    def on_send() -> None:
        order.append("gate")
        asyncio.get_running_loop().call_soon(order.append, "other")

    await client.request(ask(wire, "GET", b""), on_send)
    assert order == ["gate", "write", "other"]


@pytest.mark.parametrize("body", [b"", b"{}", b"x" * 300_000])
async def test_headers_and_body_arrive_whole(body: bytes, wire: Wire, client: EgressClient) -> None:
    """Empty, small and large bodies arrive as they are, with one Content-Length."""
    await client.request(ask(wire, body=body), lambda: None)
    (received,) = wire.requests
    assert received.body == body
    assert received.header("content-length") == str(len(body))


async def test_a_get_without_a_body_says_no_length(wire: Wire, client: EgressClient) -> None:
    """A GET carries neither Content-Length nor Content-Type."""
    await client.request(ask(wire, "GET", b""), lambda: None)
    assert wire.requests[0].names == {"host", "x-a", "user-agent", "accept-encoding"}


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "POST"])
async def test_a_dropped_connection_is_not_sent_again(
    method: str, wire: Wire, client: EgressClient
) -> None:
    """A kept-alive connection that drops on use is one request, also for idempotent methods."""
    asked: list[int] = []
    await client.request(ask(wire), lambda: None)
    wire.handler = _drop
    with pytest.raises(OutcomeUnknown):
        await client.request(ask(wire, method), lambda: asked.append(1))
    assert (len(wire.requests), len(asked)) == (2, 1)


async def _drop(received: Received, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def test_waiting_for_a_connection_asks_only_when_it_is_there(
    wire: Wire, make_client: Callable[..., EgressClient]
) -> None:
    """With every connection busy, the gate is asked once one is free, not before."""
    from_first = asyncio.Event()
    wire.handler = _held(from_first)
    client = make_client(limits=EgressLimits(connections=1))
    first = asyncio.create_task(client.request(ask(wire), lambda: None))
    await wire.until(1)
    asked: list[bool] = []
    second = asyncio.create_task(
        client.request(ask(wire), lambda: asked.append(from_first.is_set()))
    )
    await asyncio.sleep(0.05)
    assert asked == []
    from_first.set()
    await asyncio.gather(first, second)
    assert asked == [True]


async def test_a_kill_while_waiting_for_a_connection_sends_no_byte(
    wire: Wire, make_client: Callable[..., EgressClient]
) -> None:
    """The refusal that comes while a request queues for the pool ends it with 0 bytes."""
    release = asyncio.Event()
    wire.handler = _held(release)
    client = make_client(limits=EgressLimits(connections=1))
    first = asyncio.create_task(client.request(ask(wire), lambda: None))
    await wire.until(1)
    second = asyncio.create_task(client.request(ask(wire), refuse))
    await asyncio.sleep(0)
    before = wire.bytes_seen
    release.set()
    assert isinstance((await asyncio.gather(first, second, return_exceptions=True))[1], Refused)
    assert wire.bytes_seen == before


def _held(release: asyncio.Event) -> Callable[[Received, asyncio.StreamWriter], Awaitable[None]]:
    async def handle(received: Received, writer: asyncio.StreamWriter) -> None:
        await release.wait()
        writer.write(answer())

    return handle


async def test_a_gate_opens_once() -> None:
    """A second passage raises before on_send is called again."""
    asked: list[int] = []
    gate = Gate(b"", lambda: asked.append(1))
    gate.open()
    with pytest.raises(ClientConnectionError):
        gate.open()
    assert asked == [1]


async def test_a_refused_gate_is_not_passed() -> None:
    """A gate whose on_send raised says that no byte left, also when it is asked again."""
    gate = Gate(b"", refuse)
    with pytest.raises(Refused):
        gate.open()
    with pytest.raises(ClientConnectionError):
        gate.open()
    assert not gate.passed


async def test_a_request_of_another_kind_is_refused() -> None:
    """The middleware does not let a request pass that would not ask the gate."""

    async def handler(request: ClientRequest) -> ClientResponse:
        raise AssertionError

    with pytest.raises(TypeError):
        await Gate(b"", refuse).guard(
            ClientRequest("GET", URL("http://a"), loop=asyncio.get_running_loop()), handler
        )


async def test_a_connection_that_still_writes_is_not_used(wire: Wire, client: EgressClient) -> None:
    """Bytes of an earlier request that wait in the buffer keep a later one from being sent."""

    async def deaf(received: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(answer())
        await asyncio.sleep(60)

    wire.handler = deaf
    await client.request(ask(wire), lambda: None)
    (kept,) = client._session.connector._conns.values()  # type: ignore[union-attr]  # it is open
    transport = kept[0][0].transport
    assert transport is not None
    while not transport.get_write_buffer_size():
        transport.write(b"x" * 1_000_000)
    asked: list[int] = []
    with pytest.raises(UpstreamFailed):
        await client.request(ask(wire), lambda: asked.append(1))
    assert asked == []


async def test_a_connection_that_is_gone_is_not_used() -> None:
    """The gate is not even asked."""
    url = URL("http://127.0.0.1")
    request = GatedRequest("GET", url, loop=asyncio.get_running_loop())
    request.gate = Gate(b"", refuse)
    connector = BaseConnector()
    protocol = ResponseHandler(asyncio.get_running_loop())
    gone = Connection(connector, request.connection_key, protocol, asyncio.get_running_loop())
    with pytest.raises(ClientConnectionError, match="gone"):
        await request.send(gone)
    gone._protocol = None
    await connector.close()
