import asyncio
import errno
import signal
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from proxy.app import servers as module
from proxy.app.secrets import Tls
from proxy.app.servers import Port, Servers, authority, bind
from proxy.config.settings import Address
from proxy.errors import ConfigError
from proxy.ingress.protocol import ConnectionLimits

ANY = Address(host="127.0.0.1", port=0)


class App:
    """Answers 200 once it may, and remembers how each request ended."""

    def __init__(self) -> None:
        self.may = asyncio.Event()
        self.may.set()
        self.asked = asyncio.Event()
        self.ended: list[str] = []

    async def __call__(
        self, scope: Any, receive: Any, send: Callable[[Any], Awaitable[None]]
    ) -> None:
        self.asked.set()
        try:
            await self.may.wait()
        except asyncio.CancelledError:
            self.ended.append("cut")
            raise
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})
        self.ended.append("answered")


@asynccontextmanager
async def serving(app: App, tls: Tls | None = None) -> AsyncIterator[Servers]:
    """Serve two ports until the block ends."""
    servers = Servers((Port(app, bind(ANY), tls), Port(app, bind(ANY), tls)))
    try:
        await servers.start()
        yield servers
        await servers.stop()
    finally:
        servers.close()


async def status_of(url: str, **more: Any) -> int:
    async with httpx.AsyncClient(trust_env=False, **more) as http:
        return (await http.get(url)).status_code


def is_open(address: str) -> bool:
    host, _, port = address.rpartition(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


@pytest.mark.parametrize(
    ("host", "told"), [("127.0.0.1", "127.0.0.1:1"), ("::1", "[::1]:1"), ("gw", "gw:1")]
)
def test_an_authority_is_written_as_in_a_url(host: str, told: str) -> None:
    """IPv6 stands in brackets."""
    assert authority(host, 1) == told


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_port_0_takes_a_free_one(host: str) -> None:
    """In both families; a name is resolved."""
    if host == "::1" and not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    with bind(Address(host=host, port=0)) as sock:
        assert Port(App(), sock).address.rpartition(":")[2] != "0"


def test_a_port_that_is_taken_is_told_with_the_cure() -> None:
    """The cause says that it was that and nothing else."""
    with bind(ANY) as first:
        first.listen()
        port = first.getsockname()[1]
        with pytest.raises(ConfigError, match=f"127.0.0.1:{port}: .*change `listen`") as error:
            bind(Address(host="127.0.0.1", port=port))
    assert isinstance(error.value.__cause__, OSError)
    assert error.value.__cause__.errno == errno.EADDRINUSE


async def test_both_ports_are_served_until_the_stop() -> None:
    """Nothing accepts after it."""
    app = App()
    async with serving(app) as servers:
        assert [await status_of(url) for url in servers.urls] == [200, 200]
        assert all(is_open(address) for address in servers.addresses)
        bound = servers.addresses
    assert not any(is_open(address) for address in bound)


async def test_with_tls_the_urls_say_so(pem: Path) -> None:
    """The certificate is the configured one."""
    trusting = ssl.create_default_context(cafile=str(pem / "cert.pem"))
    async with serving(App(), Tls(pem / "cert.pem", pem / "key.pem")) as servers:
        assert [url.partition(":")[0] for url in servers.urls] == ["https", "https"]
        assert await status_of(servers.urls[0], verify=trusting) == 200


async def test_a_client_that_never_agrees_on_tls_is_hung_up_on(pem: Path) -> None:
    """In the time the port gives, or at the stop."""
    limits = ConnectionLimits(handshake_timeout_s=0.3)
    tls = Tls(pem / "cert.pem", pem / "key.pem")
    servers = Servers((Port(App(), bind(ANY), tls, limits),))
    host, _, port = servers.addresses[0].rpartition(":")
    await servers.start()
    try:
        for end in (asyncio.sleep(0), servers.stop()):
            reader, writer = await asyncio.open_connection(host, int(port))
            await end
            async with asyncio.timeout(2):
                assert await reader.read() == b""
            writer.close()
    finally:
        servers.close()


async def test_a_request_under_way_is_answered_before_the_stop() -> None:
    """It is not cut as long as it takes no longer than the close."""
    app = App()
    app.may.clear()
    async with serving(app) as servers:
        asking = asyncio.create_task(status_of(servers.urls[0]))
        await app.asked.wait()
        asyncio.get_running_loop().call_later(0.2, app.may.set)
    assert (await asking, app.ended) == (200, ["answered"])


async def test_a_request_that_does_not_end_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stop has an end; calls have been answered before, by the drain."""
    monkeypatch.setattr(module, "CLOSE_S", 0.1)
    app = App()
    app.may.clear()
    async with serving(app) as servers:
        asking = asyncio.create_task(status_of(servers.urls[0]))
        await app.asked.wait()
    assert (await asking, app.ended) == (500, ["cut"])


async def test_when_one_port_cannot_be_served_none_is() -> None:
    """The error comes through, the other port closes again."""
    good, bad = bind(ANY), bind(ANY)
    servers = Servers((Port(App(), good), Port(App(), bad)))
    bound = servers.addresses
    bad.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        await servers.start()
    assert not any(is_open(address) for address in bound)


def test_ports_that_were_never_served_can_be_let_go() -> None:
    """The address is free again; closing twice changes nothing."""
    servers = Servers((Port(App(), bind(ANY)),))
    (address,) = servers.addresses
    servers.close()
    servers.close()
    bind(Address(host="127.0.0.1", port=int(address.rpartition(":")[2]))).close()


async def test_signals_are_left_to_the_process() -> None:
    """Uvicorn would take SIGTERM and SIGINT for each of its servers."""
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    async with serving(App()):
        during = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    assert during == before


@pytest.mark.parametrize("is_secured", [False, True])
async def test_a_worker_serves_what_a_sibling_leaves_waiting(is_secured: bool, pem: Path) -> None:
    """On a socket of that one, until it is left to it again."""
    tls = Tls(pem / "cert.pem", pem / "key.pem") if is_secured else None
    own, covered = bind(ANY), bind(ANY)
    covered.listen()
    servers = Servers((Port(App(), own, tls, covered=(covered,)),))
    await servers.start()
    url = f"{'https' if tls else 'http'}://127.0.0.1:{covered.getsockname()[1]}"
    assert await status_of(url, verify=False) == 200
    servers.leave_covered()
    with pytest.raises(httpx.TimeoutException):
        await status_of(url, verify=False, timeout=0.3)
    await servers.stop()
    servers.close()
