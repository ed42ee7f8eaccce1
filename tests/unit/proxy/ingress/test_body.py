import asyncio
import secrets
from contextlib import suppress

import pytest
from starlette.types import Message

from proxy.errors import BadRequest
from proxy.ingress import body as body_module
from proxy.ingress.body import Body, LargeBodies


class Client:
    """Sends chunks, then nothing more."""

    def __init__(self, *chunks: bytes, hangs_up: bool = False) -> None:
        self.messages: list[Message] = [
            {"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks
        ]
        if hangs_up:
            self.messages.append({"type": "http.disconnect"})
        elif chunks:
            self.messages[-1]["more_body"] = False

    async def receive(self) -> Message:
        """Give the next message, or wait for ever."""
        if not self.messages:
            await asyncio.Event().wait()
        return self.messages.pop(0)


async def test_a_body_is_read_whole_and_given_once() -> None:
    """However it was cut; afterwards the application hears the server itself."""
    client = Client(b"ab", b"", b"c")
    body = Body(client.receive)
    await body.read(3, 9, LargeBodies(1))
    client.messages.append({"type": "http.disconnect"})
    assert await body.replay() == {"type": "http.request", "body": b"abc", "more_body": False}
    assert await body.replay() == {"type": "http.disconnect"}


async def test_a_body_over_the_cap_is_refused_before_its_end() -> None:
    """Counting stops the reading."""
    client = Client(b"ab", b"cd", b"ef")
    body = Body(client.receive)
    with pytest.raises(BadRequest) as refused:
        await body.read(3, 9, LargeBodies(1))
    assert (refused.value.http, body.data, len(client.messages)) == (413, b"", 1)


async def test_a_client_that_hangs_up_has_sent_nothing() -> None:
    """What had come of the body is not used."""
    body = Body(Client(b"ab", hangs_up=True).receive)
    await body.read(3, 9, LargeBodies(1))
    assert body.gone


async def test_the_rest_of_a_refused_body_is_thrown_away() -> None:
    """To its end, so that the answer is not lost to a reset."""
    client = Client(b"ab", b"cd", b"ef")
    body = Body(client.receive)
    with pytest.raises(BadRequest):
        await body.read(1, 9, LargeBodies(1))
    await body.discard()
    assert (client.messages, body.data) == ([], b"")


async def test_throwing_away_has_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """In bytes and in seconds: nobody is listened to for ever."""
    monkeypatch.setattr(body_module, "DISCARD_BYTES", 3)
    monkeypatch.setattr(body_module, "DISCARD_S", 0.01)
    endless = Client(*[b"ab"] * 10)
    await Body(endless.receive).discard()
    assert len(endless.messages) == 8
    async with asyncio.timeout(1):
        await Body(Client().receive).discard()


async def test_a_body_that_has_come_whole_needs_no_throwing_away() -> None:
    """It is refused at once."""
    body = Body(Client(b"ab").receive)
    await body.read(2, 9, LargeBodies(1))
    async with asyncio.timeout(0.5):
        await body.discard()


async def test_a_body_has_its_time() -> None:
    """The rest of one that is late is not waited for."""
    client = Client(b"ab")
    client.messages[0]["more_body"] = True
    body = Body(client.receive)
    with pytest.raises(TimeoutError):
        await body.read(3, 0.01, LargeBodies(1))
    assert body.data == b""


async def test_one_large_body_more_than_may_come_ends_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Picked by chance; small ones and those that have come whole are not among them."""
    monkeypatch.setattr(body_module, "SMALL_BYTES", 3)
    monkeypatch.setattr(secrets, "randbelow", lambda count: count - 2)
    large = LargeBodies(2)

    def coming(data: bytes) -> asyncio.Task[None]:
        client = Client(data)
        client.messages[0]["more_body"] = True
        return asyncio.create_task(Body(client.receive).read(9, 9, large))

    tasks = [coming(data) for data in (b"sma", b"large", b"large")]
    await asyncio.sleep(0.01)
    await Body(Client(b"large").receive).read(9, 9, large)
    assert not any(task.done() for task in tasks)
    tasks.append(coming(b"large"))
    await asyncio.wait(tasks, timeout=0.1)
    assert [task.done() for task in tasks] == [False, False, True, False]
    assert isinstance(tasks[2].exception(), TimeoutError)
    for task in tasks:
        task.cancel()


async def test_a_large_body_that_ends_gives_its_place_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whole or refused."""
    monkeypatch.setattr(body_module, "SMALL_BYTES", 3)
    large = LargeBodies(1)
    holding = Client(b"large")
    holding.messages[0]["more_body"] = True
    for client in (Client(b"larg", b"e"), Client(b"large", b"larger"), Client(b"larg", b"e")):
        with suppress(BadRequest):
            await Body(client.receive).read(9, 9, large)
    waiting = asyncio.create_task(Body(holding.receive).read(9, 9, large))
    await asyncio.wait((waiting,), timeout=0.05)
    assert not waiting.done()
    waiting.cancel()
