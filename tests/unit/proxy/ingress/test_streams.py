import asyncio

import pytest
from starlette.types import Message

from proxy.ingress.streams import event, idle_stream


class Client:
    """A client that reads, until it hangs up or stops reading."""

    def __init__(self) -> None:
        self.chunks: list[bytes] = []
        self.ended = False
        self.gone = asyncio.Event()
        self.reading = asyncio.Event()
        self.reading.set()

    async def receive(self) -> Message:
        """Say when the client has gone."""
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Take a message once the client reads."""
        await self.reading.wait()
        self.chunks.append(message.get("body", b""))
        self.ended = message["type"] == "http.response.body" and not message.get("more_body")


async def test_a_stream_begins_with_its_first_event_and_stays_open() -> None:
    """Comments keep it alive."""
    client, closing = Client(), asyncio.Event()
    first = event(b'{"a":1}')
    stream = asyncio.create_task(
        idle_stream(client.receive, client.send, (closing,), first, keep_alive_s=0.01)
    )
    await asyncio.sleep(0.05)
    assert client.chunks[1] == b'event: message\ndata: {"a":1}\n\n'
    assert client.chunks[2] == b": keep-alive\n\n"
    assert not stream.done()
    closing.set()
    await stream
    assert client.ended


@pytest.mark.parametrize("which", [0, 1])
async def test_any_closing_event_ends_it(which: int) -> None:
    """The kill switch's as well as the session's own; a set one ends it at once."""
    client, events = Client(), (asyncio.Event(), asyncio.Event())
    events[which].set()
    async with asyncio.timeout(1):
        await idle_stream(client.receive, client.send, events)
    assert client.ended


async def test_it_ends_when_the_client_has_gone() -> None:
    """Nothing is left waiting."""
    client = Client()
    client.gone.set()
    async with asyncio.timeout(1):
        await idle_stream(client.receive, client.send, ())
    assert len(asyncio.all_tasks()) == 1


async def test_a_client_that_does_not_read_is_cut_off() -> None:
    """A full socket does not hold the stream open: the response stays unfinished."""
    client = Client()

    async def send(message: Message) -> None:
        await client.send(message)
        client.reading.clear()

    async with asyncio.timeout(1):
        await idle_stream(client.receive, send, (), keep_alive_s=0.01)
    assert not client.ended
