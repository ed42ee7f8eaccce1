import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from starlette.types import Message

from proxy.ingress.streams import (
    EventStream,
    Outlet,
    event,
    let_go,
    priming_event,
    retry_event,
)
from proxy.ingress.unread import HANG_UP


class Client:
    """A client that reads, until it hangs up or stops reading."""

    def __init__(self) -> None:
        self.chunks: list[bytes] = []
        self.starts: list[Message] = []
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
        if message["type"] == "http.response.start":
            self.starts.append(message)
            return
        self.chunks.append(message.get("body", b""))
        self.ended = not message.get("more_body")

    @property
    def media(self) -> str:
        """The content type of the answer."""
        headers = dict(self.starts[0]["headers"])
        media: str = headers[b"content-type"].decode()
        return media


async def nothing() -> AsyncIterator[bytes]:
    await asyncio.Event().wait()
    yield b""


async def some(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


def test_an_event_is_one_line_of_json() -> None:
    """Line breaks between its tokens would end it; an id comes first."""
    assert event(b'{"a":\n1}\r') == b'event: message\ndata: {"a": 1} \n\n'
    assert event(b"{}", "7") == b"id: 7\nevent: message\ndata: {}\n\n"
    assert priming_event("0") == b"id: 0\ndata: \n\n"
    assert retry_event("0", 50) == b"id: 0\nretry: 50\ndata: \n\n"


async def test_a_stream_begins_with_its_first_event_and_stays_open() -> None:
    """Comments keep it alive, also when no more events can come."""
    client, closing = Client(), asyncio.Event()
    stream = EventStream(client.receive, client.send, keep_alive_s=0.01)
    running = asyncio.create_task(stream.run((closing,), some(b"a", b"b"), b"first"))
    await asyncio.sleep(0.05)
    assert client.chunks[:4] == [b"first", b"a", b"b", b": keep-alive\n\n"]
    assert (client.media, running.done()) == ("text/event-stream", False)
    closing.set()
    await running
    assert client.ended


@pytest.mark.parametrize("which", [0, 1])
async def test_any_closing_event_ends_it(which: int) -> None:
    """The kill switch's as well as the session's own, with the last words there are."""
    client, events = Client(), (asyncio.Event(), asyncio.Event())
    events[which].set()
    async with asyncio.timeout(1):
        stream = EventStream(client.receive, client.send)
        await stream.run(events, nothing(), last=lambda: b"bye")
    assert client.ended
    assert client.chunks[-2:] == [b"bye", b""]


async def test_it_ends_when_the_client_has_gone() -> None:
    """Nothing is left waiting, and nobody is told farewell."""
    client = Client()
    client.gone.set()
    async with asyncio.timeout(1):
        stream = EventStream(client.receive, client.send)
        await stream.run((), nothing(), last=lambda: b"bye")
    assert b"bye" not in client.chunks
    assert len(asyncio.all_tasks()) == 1


async def test_a_client_that_does_not_read_is_cut_off() -> None:
    """A full socket does not hold the stream open: the response stays unfinished."""
    client = Client()

    async def send(message: Message) -> None:
        await client.send(message)
        client.reading.clear()

    async with asyncio.timeout(1):
        await EventStream(client.receive, send, keep_alive_s=0.01).run((), nothing())
    assert not client.ended


async def waiting() -> None:
    await asyncio.Event().wait()


async def test_an_answer_is_json_when_nothing_goes_before_it() -> None:
    """With its own status."""
    client = Client()
    outlet = Outlet(client.receive, client.send, streams=True)
    await outlet.end(404, b"{}")
    assert (client.starts[0]["status"], client.media) == (404, "application/json")
    assert (client.chunks, client.ended) == ([b"{}"], True)


async def test_an_event_makes_the_answer_a_stream() -> None:
    """It goes out at once; the result is its last event."""
    client = Client()
    outlet = Outlet(client.receive, client.send, streams=True)
    assert await outlet.event(b'{"n":1}')
    assert client.chunks == [event(b'{"n":1}')]
    await outlet.end(404, b'{"n":2}')
    assert (client.starts[0]["status"], client.media) == (200, "text/event-stream")
    assert client.chunks[1:] == [event(b'{"n":2}'), b""]
    assert not await outlet.event(b'{"late":1}')
    assert json.loads(client.chunks[1].partition(b"data: ")[2]) == {"n": 2}


async def test_an_answer_that_cannot_be_resumed_stays_as_it_is() -> None:
    """Nobody is sent away, and nothing is kept for who has gone."""
    client = Client()
    outlet = Outlet(client.receive, client.send, streams=True)
    await outlet.event(b"{}")
    await outlet.pause(0.1)
    outlet.miss(b"{}")
    assert (client.chunks, client.ended) == ([event(b"{}")], False)


async def test_a_client_that_takes_no_stream_gets_no_events() -> None:
    """It gets its result as JSON."""
    client = Client()
    outlet = Outlet(client.receive, client.send, streams=False)
    assert not await outlet.event(b"{}")
    await outlet.end(200, b"{}")
    assert client.media == "application/json"


async def test_waiting_keeps_a_stream_alive() -> None:
    """Once it is one; JSON has no room for comments."""
    client = Client()
    outlet = Outlet(client.receive, client.send, streams=True, keep_alive_s=0.01)
    work = asyncio.create_task(asyncio.sleep(0.04))
    assert await outlet.until(work)
    assert client.chunks == []
    await outlet.event(b"{}")
    work = asyncio.create_task(asyncio.sleep(0.04))
    assert await outlet.until(work)
    assert b": keep-alive\n\n" in client.chunks


async def test_waiting_ends_when_the_client_has_gone() -> None:
    """Or when what is waited for is done, whichever is first."""
    client = Client()
    outlet = Outlet(client.receive, client.send, streams=True)
    work = asyncio.create_task(waiting())
    client.gone.set()
    assert not await outlet.until(work)
    done = asyncio.create_task(asyncio.sleep(0))
    await done
    assert await outlet.until(work, done)
    work.cancel()


async def test_a_client_that_does_not_read_has_gone() -> None:
    """A full socket does not hold a call; nothing more is sent."""
    client = Client()
    outlet = Outlet(client.receive, client.send, streams=True, keep_alive_s=0.01)
    await outlet.event(b"{}")
    client.reading.clear()
    work = asyncio.create_task(waiting())
    assert not await outlet.until(work)
    await outlet.end(200, b"{}")
    assert (await outlet.event(b"{}"), client.ended) == (False, False)
    work.cancel()


@pytest.mark.parametrize("is_closed", [True, False])
async def test_a_connection_is_let_go_of_when_its_stream_has_to_close(*, is_closed: bool) -> None:
    """And not when the stream has ended by itself."""
    closing, asked = asyncio.Event(), []
    with let_go(closing, {HANG_UP: lambda: asked.append("hurry")}):
        if is_closed:
            closing.set()
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.01)
    assert asked == ["hurry"] * is_closed
