"""Answers over several connections, in a process without a gate."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from proxy.errors import BadRequest
from proxy.ingress.mcp_kept import MAX_KEPT_BYTES, Cursor
from proxy.ingress.mcp_resumed import (
    MAX_ANSWERS,
    AnswerStream,
    ResumableOutlet,
    Resumables,
)
from tests.harness.asgi import Connection, until

SHORT_S = 0.05
START = Cursor(1, 0)


class Post:
    """A request's connection, its outlet, and the call that it waits for."""

    def __init__(self, streams: Resumables, *, always: bool = False) -> None:
        self.connection = Connection()
        self.connection._body = []
        self.outlet = ResumableOutlet(
            self.connection.receive, self.connection.send, streams, always=always
        )
        self.work: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting = asyncio.ensure_future(self.outlet.until(self.work))

    @property
    def is_closed(self) -> bool:
        """Whether its answer has ended."""
        last = (self.connection.sent or [{"type": ""}])[-1]
        return last["type"] == "http.response.body" and not last.get("more_body")


@pytest.fixture
async def streams() -> AsyncIterator[Resumables]:
    """The streams of a session whose clients stay away for moments only."""
    streams = Resumables(SHORT_S)
    yield streams
    streams.ended.set()
    await asyncio.sleep(0)


@asynccontextmanager
async def reading(stream: AnswerStream, last: Cursor) -> AsyncIterator[list[bytes]]:
    """Read a stream as a GET does; what was read is in the list."""
    read: list[bytes] = []

    async def follow() -> None:
        async for shown in stream.events(last, asyncio.Event()):
            read.append(shown)  # noqa: PERF401 it is looked at meanwhile

    with stream.read():
        following = asyncio.create_task(follow())
        await asyncio.sleep(0.001)
        yield read
        following.cancel()


def ids(shown: list[bytes]) -> list[str]:
    return [one.split(b"\n")[0].removeprefix(b"id: ").decode() for one in shown]


async def test_a_stream_begins_with_where_to_resume_it(streams: Resumables) -> None:
    """Then every event has its id, the result too."""
    post = Post(streams)
    assert await post.outlet.event(b'{"n":1}')
    post.work.set_result(None)
    assert await post.waiting
    await post.outlet.end(200, b'{"n":2}')
    assert post.connection.event_ids == ["1-0", "1-1", "1-2"]
    assert post.connection.events == [{"n": 1}, {"n": 2}]
    assert post.is_closed


@pytest.mark.parametrize(
    ("always", "media"), [(False, "application/json"), (True, "text/event-stream")]
)
async def test_a_result_alone_is_json_unless_it_has_to_be_a_stream(
    streams: Resumables, media: str, *, always: bool
) -> None:
    """Of JSON nothing is kept: it has no id."""
    post = Post(streams, always=always)
    post.work.set_result(None)
    assert await post.waiting
    await post.outlet.end(200, b"{}")
    assert (post.connection.headers["content-type"], post.is_closed) == (media, True)
    assert len(streams.kept.after(START)) == (1 if always else 0)


async def test_who_is_sent_away_comes_back_for_the_rest(streams: Resumables) -> None:
    """Told when; what is said meanwhile waits, in one place only."""
    post = Post(streams)
    await post.outlet.event(b'{"n":1}')
    await post.outlet.pause(0.1)
    await until(lambda: post.is_closed)
    assert b"id: 1-1\nretry: 100\ndata: \n\n" in post.connection.body
    assert await post.outlet.event(b'{"n":2}')
    await post.outlet.pause(0.1)
    async with reading(streams.find(Cursor(1, 1)), Cursor(1, 1)) as read:
        assert ids(read) == ["1-2"]
        post.work.set_result(None)
        assert await post.waiting
        await post.outlet.end(200, b'{"n":3}')
        await until(lambda: len(read) == 2)
    assert post.connection.events == [{"n": 1}]


async def test_a_pause_has_its_bounds(streams: Resumables) -> None:
    """Whatever a server asks for; it comes before anything else was said, too."""
    posts = [Post(streams) for _ in range(2)]
    await posts[0].outlet.pause(0)
    await posts[1].outlet.pause(86_400)
    retries = [
        b"retry: 50\n" in posts[0].connection.body,
        b"retry: 10000\n" in posts[1].connection.body,
    ]
    assert (retries, posts[0].connection.event_ids) == ([True, True], ["1-0", "1-0"])


async def test_who_stays_away_has_gone(streams: Resumables) -> None:
    """After a while; how the call ended is known to who comes even later."""
    post = Post(streams)
    await post.outlet.pause(0.1)
    assert not await post.waiting
    post.outlet.miss(b'{"n":1}')
    async with reading(streams.find(START), START) as read:
        assert ids(read) == ["1-1"]


async def test_the_clock_stands_while_somebody_reads(streams: Resumables) -> None:
    """It starts again when that connection ends."""
    post = Post(streams)
    await post.outlet.pause(0.1)
    async with reading(streams.find(START), START):
        await asyncio.sleep(2 * SHORT_S)
        assert not post.waiting.done()
    assert not await post.waiting


async def test_nobody_comes_back_to_a_session_that_has_ended() -> None:
    """So its call is not waited for."""
    streams = Resumables()
    post = Post(streams)
    await post.outlet.pause(0.1)
    await until(lambda: post.is_closed)
    streams.ended.set()
    assert not await post.waiting


async def test_who_hangs_up_has_gone(streams: Resumables) -> None:
    """At once: only who was sent away is expected back. The id still tells how it ended."""
    post = Post(streams)
    await post.outlet.event(b"{}")
    post.connection.closed.set()
    assert not await post.waiting
    post.outlet.miss(b'{"n":1}')
    assert ids([shown for _, shown in streams.kept.after(START)]) == ["1-1", "1-2"]


async def test_nothing_is_kept_for_who_has_no_id(streams: Resumables) -> None:
    """Nobody could ask for it."""
    post = Post(streams)
    post.connection.closed.set()
    assert not await post.waiting
    post.outlet.miss(b"{}")
    assert streams.kept.after(START) == []


async def test_a_reader_takes_the_place_of_the_one_before(streams: Resumables) -> None:
    """Of the POST's own connection as well, before anybody has noticed that it broke."""
    post = Post(streams)
    await post.outlet.event(b'{"n":1}')
    stream = streams.find(START)
    with stream.read() as first:
        await until(lambda: post.is_closed)
        await post.outlet.event(b'{"n":2}')
        with stream.read() as second:
            assert (first.is_set(), second.is_set()) == (True, False)
    assert post.connection.events == [{"n": 1}]
    post.work.set_result(None)
    assert await post.waiting


async def test_a_large_result_waits_for_who_was_sent_away(streams: Resumables) -> None:
    """Of one that was read already, it is not kept."""
    large = b"x" * MAX_KEPT_BYTES
    away, there = Post(streams), Post(streams, always=True)
    await away.outlet.pause(0.1)
    for post in (away, there):
        post.work.set_result(None)
        assert await post.waiting
    await there.outlet.end(200, large)
    await away.outlet.end(200, large)
    kept = [len(streams.kept.after(Cursor(number, 0))) for number in (1, 2)]
    assert kept == [1, 0]


async def test_a_client_that_does_not_read_is_not_sent_away(streams: Resumables) -> None:
    """It has gone."""
    connection = Connection()
    connection._body = []
    outlet = ResumableOutlet(connection.receive, connection.send, streams)
    outlet._keep_alive_s = 0.01
    await outlet.event(b"{}")
    connection.reading.clear()
    await outlet.pause(0.1)
    assert not await outlet.event(b"{}")
    assert not await outlet.until(asyncio.get_running_loop().create_future())


async def test_ended_answers_are_let_go_of() -> None:
    """After a while; those that came later stay longer, and calls in flight stay."""
    streams = Resumables(SHORT_S)
    posts = [Post(streams, always=True) for _ in range(3)]
    await posts[2].outlet.event(b"{}")
    await posts[0].outlet.end(200, b"{}")
    await asyncio.sleep(SHORT_S / 2)
    await posts[1].outlet.end(200, b"{}")
    await until(lambda: not streams.kept.after(Cursor(2, 0)))
    assert streams.kept.after(Cursor(3, 0))
    await until(lambda: not streams.kept.after(Cursor(3, 0)))
    assert streams.find(START)
    with pytest.raises(BadRequest) as refused:
        streams.find(Cursor(2, 0))
    assert (refused.value.http, refused.value.code) == (400, "stream-not-kept")
    for post in posts:
        post.waiting.cancel()


async def test_only_so_many_answers_are_kept(streams: Resumables) -> None:
    """The oldest ended one makes room, never one in flight."""
    running = Post(streams)
    await running.outlet.event(b"{}")
    for _ in range(MAX_ANSWERS):
        await Post(streams, always=True).outlet.end(200, b"{}")
    assert streams.find(Cursor(1, 0))
    assert streams.find(Cursor(3, 0))
    with pytest.raises(BadRequest):
        streams.find(Cursor(2, 0))


async def test_answers_that_never_end_are_bounded_too(streams: Resumables) -> None:
    """The oldest of all makes room when none has ended."""
    for _ in range(MAX_ANSWERS + 1):
        streams.open(lambda: None)
    assert streams.find(Cursor(2, 0))
    with pytest.raises(BadRequest):
        streams.find(START)
