"""The unit accepts connections, so these tests open some."""

import asyncio
import errno
import socket
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path

import pytest

from proxy.ingress import handshakes as module
from proxy.ingress.handshakes import TlsListener
from proxy.ingress.protocol import ConnectionLimits
from tests.harness.certificates import make_certificates


class Greeting(asyncio.Protocol):
    """Says hello once TLS is agreed on."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(b"hello")
        transport.close()


class Refusing(socket.socket):
    """A socket for which no open files are left, a few times."""

    left = 2

    def accept(self) -> tuple[socket.socket, object]:
        """Accept, or fail as the kernel does."""
        if self.left:
            self.left -= 1
            raise OSError(errno.EMFILE, "Too many open files")
        return super().accept()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """An authority, and a server's certificate with its key."""
    return make_certificates(tmp_path_factory.mktemp("tls"), "localhost")


@asynccontextmanager
async def listening(
    server: Path,
    timeout_s: float = 9,
    connections: int = 100,
    held: int = 0,
    kind: type[socket.socket] = socket.socket,
) -> AsyncIterator[int]:
    """Listen until the block ends; give the port."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(server)
    limits = ConnectionLimits(connections, handshake_timeout_s=timeout_s)
    with kind() as bound:
        bound.bind(("127.0.0.1", 0))
        listener = TlsListener(bound, context, Greeting, limits, lambda: held)
        listener.start(100)
        try:
            yield bound.getsockname()[1]
        finally:
            listener.close()
            await listener.wait_closed()


async def greeted(port: int, authority: Path) -> bytes:
    """Connect as clients do and return what is said."""
    trusting = ssl.create_default_context(cafile=authority)
    async with asyncio.timeout(5):
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=trusting, server_hostname="localhost"
        )
        said = await reader.read()
        writer.close()
    return said


async def end_of(client: socket.socket) -> float:
    """Return after how many seconds the other side ended the connection."""
    before = time.monotonic()
    client.setblocking(False)
    async with asyncio.timeout(5):
        with suppress(ConnectionResetError):
            assert await asyncio.get_running_loop().sock_recv(client, 100) == b""
    return time.monotonic() - before


async def test_what_has_agreed_on_tls_is_handed_on(certificates: tuple[Path, Path]) -> None:
    """To the protocol, as any connection."""
    authority, server = certificates
    async with listening(server) as port:
        assert [await greeted(port, authority) for _ in range(3)] == [b"hello"] * 3


@pytest.mark.parametrize("said", [b"", b"\x16\x03\x01\x02\x00\x01\x00"])
async def test_a_handshake_has_its_time(certificates: tuple[Path, Path], said: bytes) -> None:
    """One that never begins, or stops in the middle, is hung up on; others are not."""
    authority, server = certificates
    async with listening(server, timeout_s=0.3) as port:
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(said)
            assert 0.2 < await end_of(client) < 2
        assert await greeted(port, authority) == b"hello"


async def test_what_is_not_tls_is_hung_up_on(
    certificates: tuple[Path, Path], caplog: pytest.LogCaptureFixture
) -> None:
    """At once; a client that distrusts us is another such."""
    caplog.set_level("INFO")
    _, server = certificates
    async with listening(server) as port:
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(b"GET / HTTP/1.1\r\n\r\n")
            await asyncio.sleep(0.05)
        with pytest.raises(ssl.SSLCertVerificationError):
            await greeted(port, Path(ssl.get_default_verify_paths().openssl_cafile))
        await asyncio.sleep(0.05)
    told = [record.getMessage().partition(":")[0] for record in caplog.records]
    assert told == ["no TLS agreed on"] * 2


@pytest.mark.parametrize(("connections", "held"), [(40, 0), (1_000, 960), (40, 40), (1, 0)])
async def test_handshakes_are_bounded_in_number(
    certificates: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
    connections: int,
    held: int,
) -> None:
    """One more takes the place of another: a flood that says nothing keeps nobody out."""
    authority, server = certificates
    monkeypatch.setattr(module, "ALWAYS", 8)
    monkeypatch.setattr(module, "AT_ONCE", 4)  # the rest is accepted in the next turn
    room = max(8, connections - held)
    async with listening(server, connections=connections, held=held) as port:
        with ExitStack() as flood:
            silent = [
                flood.enter_context(socket.create_connection(("127.0.0.1", port)))
                for _ in range(room + 12)
            ]
            await asyncio.sleep(0.2)
            assert await greeted(port, authority) == b"hello"
            ended = [asyncio.create_task(end_of(client)) for client in silent]
            await asyncio.wait(ended, timeout=0.2)
            assert sum(task.done() for task in ended) == 13
            await asyncio.gather(*(hang_up(task) for task in ended))


async def hang_up(task: asyncio.Task[float]) -> None:
    """Wait for it no longer."""
    task.cancel()
    await asyncio.wait((task,))


async def test_without_open_files_it_waits_a_moment(
    certificates: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It does not ask again and again, and goes on by itself."""
    authority, server = certificates
    monkeypatch.setattr(module, "PAUSE_S", 0.1)
    async with listening(server, kind=Refusing) as port:
        before = time.monotonic()
        assert await greeted(port, authority) == b"hello"
    assert 0.15 < time.monotonic() - before < 2
    told = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert told == ["cannot accept connections: Too many open files"] * 2


async def test_a_close_ends_the_handshakes(certificates: tuple[Path, Path]) -> None:
    """And a pause; nothing is left behind."""
    _, server = certificates
    before = asyncio.all_tasks()
    async with listening(server) as port:
        client = socket.create_connection(("127.0.0.1", port))
        await asyncio.sleep(0.05)
        assert len(asyncio.all_tasks() - before) == 1
    with client:
        assert await end_of(client) < 1
    assert asyncio.all_tasks() == before
    async with listening(server, kind=Refusing) as port:
        socket.create_connection(("127.0.0.1", port)).close()
        await asyncio.sleep(0.05)
