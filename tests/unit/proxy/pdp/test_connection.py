"""HTTP over a unix socket, against a server that says exactly what the test wants."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from proxy.pdp.connection import MAX_IDLE, Connection, Connections, ExchangeFailed, Response

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
MAX_BYTES = 1000


class Server:
    """Answers the n-th request of all with the n-th of its answers, None with silence."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket
        self.answers: list[bytes | None] = []
        self.connections = 0
        self.asked: list[bytes] = []

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        self.connections += 1
        with contextlib.closing(writer):
            while request := await reader.read(4096):
                self.asked.append(request)
                answer = self.answers.pop(0)
                if answer == b"":
                    return
                if answer is not None:
                    writer.write(answer)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    """Give a server on a unix socket."""
    server = Server(tmp_path / "s")
    listening = await asyncio.start_unix_server(server.talk, server.socket)
    async with listening:
        yield server


@pytest.fixture
async def pool(server: Server) -> AsyncIterator[Connections]:
    """Give connections to that server."""
    pool = Connections(server.socket, MAX_BYTES)
    yield pool
    pool.close()


async def test_a_connection_is_kept_for_the_next_request(server: Server, pool: Connections) -> None:
    """Requests after one another share a connection; each gets its own answer."""
    server.answers = [OK, OK.replace(b"ok", b"no")]
    assert await pool.exchange(b"one") == Response(200, b"ok")
    assert await pool.exchange(b"two") == Response(200, b"no")
    assert server.asked == [b"one", b"two"]
    assert server.connections == 1


async def test_requests_at_once_have_a_connection_each(server: Server, pool: Connections) -> None:
    """Nothing waits behind a slow answer."""
    server.answers = [OK] * 3
    await asyncio.gather(*(pool.exchange(b"q") for _ in range(3)))
    assert server.connections == 3


async def test_a_chunked_answer_is_put_together(server: Server, pool: Connections) -> None:
    """Larger answers come in chunks."""
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    server.answers = [head + b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"]
    assert (await pool.exchange(b"q")).body == b"abc"


async def test_other_statuses_are_answers_too(server: Server, pool: Connections) -> None:
    """What they mean is not decided here."""
    server.answers = [OK.replace(b"200 OK", b"503 Busy")]
    assert (await pool.exchange(b"q")).status == 503


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"", "OPA closed the connection"),
        (b"nonsense\r\n\r\n", "not HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "not HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n" + b"x" * 99_999, "more than 1000"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 99_999, "more than 1000"),
    ],
)
async def test_anything_else_fails_and_closes(
    server: Server, pool: Connections, answer: bytes, why: str
) -> None:
    """The connection is not used again."""
    server.answers = [answer, OK]
    with pytest.raises(ExchangeFailed, match=why):
        await pool.exchange(b"q")
    assert (await pool.exchange(b"q")).body == b"ok"
    assert server.connections == 2


async def test_an_answer_nobody_asked_for_is_never_anybodys(
    server: Server, pool: Connections
) -> None:
    """Two answers to one request: the second must not become that of the next request."""
    server.answers = [OK + OK.replace(b"ok", b"no"), OK]
    assert (await pool.exchange(b"one")).body == b"ok"
    assert (await pool.exchange(b"two")).body == b"ok"
    assert server.connections == 2


async def test_a_late_second_answer_closes_the_idle_connection(
    server: Server, pool: Connections
) -> None:
    """What comes while nobody waits ends the connection."""
    server.answers = [OK, OK + OK, OK]
    await pool.exchange(b"one")
    idle = pool._idle[0]
    idle.data_received(OK)
    assert not idle.usable
    assert (await pool.exchange(b"two")).body == b"ok"


async def test_a_closing_answer_is_the_last_of_its_connection(
    server: Server, pool: Connections
) -> None:
    """`Connection: close` is heeded."""
    server.answers = [OK.replace(b"\r\nContent", b"\r\nConnection: close\r\nContent"), OK]
    await pool.exchange(b"one")
    await pool.exchange(b"two")
    assert server.connections == 2


async def test_cancelling_closes_the_connection(server: Server, pool: Connections) -> None:
    """An answer that comes after all finds nobody."""
    server.answers = [None, OK]
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await pool.exchange(b"one")
    assert (await pool.exchange(b"two")).body == b"ok"
    assert server.connections == 2


async def test_nobody_listening_is_a_failure(tmp_path: Path) -> None:
    """With the system's reason."""
    with pytest.raises(ExchangeFailed, match="does not listen: No such file"):
        await Connections(tmp_path / "none", MAX_BYTES).exchange(b"q")


async def test_closing_fails_what_is_under_way(server: Server, pool: Connections) -> None:
    """And nothing can be asked afterwards."""
    server.answers = [None]
    asking = asyncio.create_task(pool.exchange(b"q"))
    await asyncio.sleep(0.05)
    pool.close()
    with pytest.raises(ExchangeFailed, match="closed"):
        await asking
    with pytest.raises(ExchangeFailed, match="being stopped"):
        await pool.exchange(b"q")


async def test_draining_waits_for_what_is_under_way(server: Server, pool: Connections) -> None:
    """But not for ever."""
    server.answers = [None]
    asking = asyncio.create_task(pool.exchange(b"q"))
    await asyncio.sleep(0.05)
    await pool.drained(0.02)
    assert not asking.done()
    asking.cancel()
    await pool.drained(5)
    assert asking.cancelled()


async def test_idle_connections_are_bounded(server: Server, pool: Connections) -> None:
    """A burst does not leave its connections behind."""
    server.answers = [OK] * (MAX_IDLE + 5)
    await asyncio.gather(*(pool.exchange(b"q") for _ in range(MAX_IDLE + 5)))
    assert len(pool._idle) == MAX_IDLE


async def test_a_connection_that_was_never_made_cannot_ask() -> None:
    """Asking needs a transport."""
    with pytest.raises(ExchangeFailed, match="closed"):
        await Connection(MAX_BYTES).ask(b"q")
