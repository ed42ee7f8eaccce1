"""MCP over streamable HTTP: what is heard outside of calls, and by whom."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from proxy.egress.client import EgressClient
from proxy.model.mcp import Era, Notification
from proxy.model.tool import Effect, ToolManifest
from proxy.upstream import mcp_http as room
from proxy.upstream.base import UpstreamCall
from proxy.upstream.mcp_http import McpHttp
from tests.harness.client import Client
from tests.harness.mcp_on_wire import McpServer
from tests.harness.mcp_streams import Streams
from tests.harness.wire import Received, answer

UPDATED = "notifications/resources/updated"
CHANGED = "notifications/tools/list_changed"


@pytest.fixture
def streams(server: McpServer, monkeypatch: pytest.MonkeyPatch) -> Streams:
    """Give the streams of the recorded server; each session has a new id."""
    made, usual = Streams(server), server.handle
    monkeypatch.setattr(room, "AGAIN_S", 0.02)

    async def handle(received: Received, writer: asyncio.StreamWriter) -> None:
        if b'"initialize"' in received.body:
            made.sessions += 1
            server.session = f"s{made.sessions}"
        await usual(received, writer)

    server.wire.handler = handle
    return made


@pytest.fixture
def changes() -> list[int]:
    """Give what on_changed was called with."""
    return []


@pytest.fixture
async def upstream(
    make_client: Callable[..., EgressClient], changes: list[int]
) -> AsyncIterator[McpHttp]:
    """Give the recorded server as an upstream."""
    made = McpHttp("s", make_client("/mcp"), on_changed=lambda: changes.append(1))
    yield made
    await made.stop()


async def call(upstream: McpHttp, method: str, session: str, **more: Any) -> None:
    client = Client(Era.HANDSHAKE, session, **{"capabilities": {}, **more})
    manifest = ToolManifest("s", method, Effect.READ)
    made = UpstreamCall(manifest, b'{"uri":"a://b"}', 5, method=method, conversation=client)
    await upstream.call(made, lambda: None)


async def next_of(heard: AsyncIterator[Notification]) -> Notification:
    async with asyncio.timeout(5):
        return await anext(heard)


async def test_the_gateway_listens_itself(
    streams: Streams, upstream: McpHttp, changes: list[int]
) -> None:
    """A changed list is asked for again at once."""
    await upstream.start()
    await streams.until("s1")
    streams.say("s1", CHANGED)
    async with asyncio.timeout(5):
        while not changes:
            await asyncio.sleep(0.002)


async def test_a_session_that_is_watched_has_its_own_stream(
    streams: Streams, upstream: McpHttp, changes: list[int]
) -> None:
    """What is said there is for it alone (I20); leaving closes the stream at once."""
    await upstream.start()
    async with upstream.watch("one") as ones:
        await streams.until("s1", "s2")
        async with upstream.watch("two") as twos:
            await streams.until("s1", "s2", "s3")
            streams.say("s2", UPDATED, uri="a://b")
            assert (await next_of(ones)).method == UPDATED
            streams.say("s3", CHANGED)
            assert (await next_of(twos)).method == CHANGED
    await asyncio.sleep(0.1)
    assert {"s2", "s3"} <= set(streams.closed)
    assert changes == [1]


@pytest.mark.parametrize(("stateless", "stream"), [(False, "s2"), (True, "listen")])
async def test_who_watches_is_told_so_once_it_hears(
    server: McpServer, streams: Streams, upstream: McpHttp, stateless: bool, stream: str
) -> None:
    """However long the server takes to open its stream: what it says at once is not lost."""
    server.stateless = stateless
    streams.hesitate(0.1)
    async with upstream.watch("one") as ones:
        streams.say(stream, CHANGED)
        assert (await next_of(ones)).method == CHANGED


@pytest.mark.parametrize("away", [False, True])
async def test_a_server_that_opens_no_stream_is_not_waited_for(
    server: McpServer,
    streams: Streams,
    upstream: McpHttp,
    monkeypatch: pytest.MonkeyPatch,
    away: bool,
) -> None:
    """Watching begins all the same; one that is away costs no time at all."""
    monkeypatch.setattr(room, "OPENED_S", 0.2 if not away else 60)
    streams.hesitate(60)
    if away:
        server.wire.handler = None
    async with asyncio.timeout(2), upstream.watch("one"):
        assert streams.open == {}


async def test_a_channel_that_is_opened_later_is_listened_to(
    streams: Streams, upstream: McpHttp
) -> None:
    """A client with other capabilities has another session with the server."""
    async with upstream.watch("one") as ones:
        await streams.until("s1", "s2")
        await call(upstream, "resources/subscribe", "one", capabilities={"roots": {}})
        await streams.until("s1", "s2", "s3")
        streams.say("s3", UPDATED, uri="a://b")
        assert (await next_of(ones)).method == UPDATED


async def test_a_stream_is_open_for_as_long_as_somebody_needs_it(
    streams: Streams, upstream: McpHttp
) -> None:
    """Another listener of the session, or a client that may be asked."""
    await upstream.start()
    await call(upstream, "resources/read", "one", capabilities={"roots": {}})
    async with upstream.watch("one") as ones:
        async with upstream.watch("one"):
            await streams.until("s1", "s2", "s3")
        streams.say("s3", CHANGED)
        assert (await next_of(ones)).method == CHANGED
    await asyncio.sleep(0.1)
    assert streams.closed == ["s3"]


async def test_a_client_that_can_be_asked_is_listened_for(
    streams: Streams, upstream: McpHttp
) -> None:
    """Its server may ask outside of the streams of calls; others cost no stream."""
    await upstream.start()
    await call(upstream, "resources/read", "one")
    await call(upstream, "resources/read", "two", capabilities={"roots": {}})
    await streams.until("s1", "s3")


async def test_a_watched_session_that_is_over_is_opened_again(
    server: McpServer, streams: Streams, upstream: McpHttp
) -> None:
    """The server was started anew, say."""
    usual = server.on_get
    assert usual is not None

    async def on_get(received: Received, writer: asyncio.StreamWriter) -> None:
        if received.header("mcp-session-id") in {"s1", "s2"}:
            writer.write(answer(b"", 404))
        else:
            await usual(received, writer)

    server.on_get = on_get
    async with upstream.watch("one"):
        await streams.until("s3", "s4")


async def test_a_server_that_is_away_is_listened_to_once_it_is_back(
    server: McpServer, streams: Streams, upstream: McpHttp
) -> None:
    """Watching never fails."""
    handler, server.wire.handler = server.wire.handler, None
    async with upstream.watch("one") as ones:
        await asyncio.sleep(0.05)
        server.wire.handler = handler
        await streams.until("s1", "s2")
        for name in ("s1", "s2"):
            streams.say(name, CHANGED)
        assert (await next_of(ones)).method == CHANGED


async def test_a_stateless_server_has_one_stream_for_all(
    server: McpServer, streams: Streams, upstream: McpHttp, changes: list[int]
) -> None:
    """Each session hears what concerns it (I20)."""
    server.stateless = True
    async with upstream.watch("one") as ones, upstream.watch("two") as twos:
        await call(upstream, "resources/subscribe", "one")
        streams.say("listen", UPDATED, uri="a://b")
        assert (await next_of(ones)).method == UPDATED
        streams.say("listen", CHANGED)
        assert {(await next_of(ones)).method, (await next_of(twos)).method} == {CHANGED}
    assert set(streams.open) == {"listen"}
    assert changes == [1]
    assert server.heard("resources/subscribe") == []


async def test_a_forgotten_session_is_not_listened_for(
    server: McpServer, streams: Streams, upstream: McpHttp
) -> None:
    """What nobody else wants is left out."""
    server.stateless = True
    await call(upstream, "resources/subscribe", "one")
    await upstream.forget("one")
    await upstream.forget("one")
    filters = [
        json.loads(one.body)["params"]["notifications"]
        for one in server.heard("subscriptions/listen")
    ]
    assert filters[-2]["resourceSubscriptions"] == ["a://b"]
    assert "resourceSubscriptions" not in filters[-1]


async def test_a_forgotten_session_is_ended(
    server: McpServer, streams: Streams, upstream: McpHttp
) -> None:
    """At the server; nobody else's."""
    await upstream.start()
    await call(upstream, "resources/read", "one")
    await upstream.forget("one")
    async with asyncio.timeout(5):
        while not server.got("DELETE"):
            await asyncio.sleep(0.002)
    assert [one.header("mcp-session-id") for one in server.got("DELETE")] == ["s2"]


async def test_a_server_of_both_eras_is_heard_in_both(
    server: McpServer, streams: Streams, upstream: McpHttp
) -> None:
    """Changed lists on the one stream for all, the rest in the session, once there is one."""
    server.both = True
    async with upstream.watch("one") as ones:
        await streams.until("listen")
        streams.say("listen", CHANGED)
        assert (await next_of(ones)).method == CHANGED
        await call(upstream, "resources/subscribe", "one")
        await streams.until("listen", "s2")
        streams.say("s2", UPDATED, uri="a://b")
        assert (await next_of(ones)).method == UPDATED


async def test_a_session_with_a_server_of_both_eras_is_listened_to_later(
    server: McpServer, streams: Streams, upstream: McpHttp
) -> None:
    """From when somebody watches; a channel that is there already is used for it."""
    server.both = True
    await call(upstream, "resources/subscribe", "one")
    await streams.until("listen")
    async with upstream.watch("one") as ones:
        await streams.until("listen", "s2")
        streams.say("s2", UPDATED, uri="a://b")
        assert (await next_of(ones)).method == UPDATED


async def test_a_server_that_became_another_one_is_heard_in_its_way(
    server: McpServer, streams: Streams, upstream: McpHttp
) -> None:
    """It needed no sessions, and was replaced by one that does."""
    server.stateless = True
    async with upstream.watch("one"):
        await streams.until("listen")
        usual, server.stateless = server.on_call, False

        async def refuse(message: dict[str, Any], writer: asyncio.StreamWriter) -> None:
            error = {"code": -32022, "message": "Unsupported protocol version"}
            writer.write(server.reply(message, error=error))

        server.on_call = refuse
        await call(upstream, "resources/read", "one")
        server.on_call = usual
        await streams.until("listen", "s2", "s3")  # the first was refused
