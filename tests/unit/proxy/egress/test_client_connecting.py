"""The client of one server: whom it connects to, and whom it does not."""

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from proxy.egress.addresses import AddressPolicy
from proxy.egress.client import EgressClient, EgressLimits, EgressRequest
from proxy.errors import EgressRefused, UpstreamFailed
from tests.harness.wire import Received, Wire

MakeClient = Callable[..., EgressClient]


def sending() -> None:
    """Nothing stands against it."""


def ask(url: str, timeout_s: float = 5) -> EgressRequest:
    return EgressRequest("POST", url, {}, b"{}", timeout_s, 1000)


async def silence(received: Received, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(60)


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
    wire.handler = silence
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
