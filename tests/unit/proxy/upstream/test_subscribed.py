"""One stream for all that is said outside of calls by a server without sessions."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from proxy.egress.client import EgressClient
from proxy.upstream import subscribed as room
from proxy.upstream.jsonrpc import Message
from proxy.upstream.streamable import Endpoint
from proxy.upstream.subscribed import Subscribed, listen_params
from proxy.upstream.subscriptions import Subscriptions
from tests.harness.mcp_on_wire import event, head
from tests.harness.wire import Received, Wire, answer


class Server:
    """Acknowledges what it is asked to listen for, unless it is to be silent about it."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.silent = False
        self.status = 200
        self.closed: list[int] = []
        wire.handler = self.handle

    async def handle(self, received: Received, writer: asyncio.StreamWriter) -> None:
        message = json.loads(received.body)
        if self.status != 200:
            writer.write(answer(b"", self.status))
            return
        writer.write(head())
        if not self.silent:
            said = {"method": "notifications/subscriptions/acknowledged"}
            writer.write(event(json.dumps({"jsonrpc": "2.0", **said}).encode()))
        writer.write(event(b'{"jsonrpc":"2.0","id":"other","result":{}}'))
        for uri in self.filters()[-1].get("resourceSubscriptions", ()):
            update = {"method": "notifications/resources/updated", "params": {"uri": uri}}
            writer.write(event(json.dumps({"jsonrpc": "2.0", **update}).encode()))
        try:
            await asyncio.sleep(60)
        finally:
            self.closed.append(message["id"])

    def filters(self) -> list[dict[str, Any]]:
        """Return what it was asked to listen for."""
        bodies = [json.loads(one.body) for one in self.wire.requests]
        return [one["params"]["notifications"] for one in bodies]


@pytest.fixture
def server(wire: Wire) -> Server:
    """Give the server."""
    return Server(wire)


@pytest.fixture
def heard() -> list[Message]:
    """Give what was heard."""
    return []


@pytest.fixture
def wanted() -> Subscriptions:
    """Give what is wanted."""
    return Subscriptions()


@pytest.fixture
async def subscribed(
    server: Server,
    heard: list[Message],
    wanted: Subscriptions,
    make_client: Callable[..., EgressClient],
) -> AsyncIterator[Subscribed]:
    """Give the stream."""
    endpoint = Endpoint("s", make_client("/mcp"), {})
    made = Subscribed(endpoint, itertools.count(1), wanted, heard.append)
    yield made
    made.stop()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.002)


async def test_all_lists_are_listened_for(server: Server, subscribed: Subscribed) -> None:
    """In the way of the era, once, however often that is asked for."""
    await subscribed.renew()
    await subscribed.renew()
    (received,) = server.wire.requests
    assert received.header("mcp-method") == "subscriptions/listen"
    assert set(server.filters()[0]) == {
        "toolsListChanged",
        "promptsListChanged",
        "resourcesListChanged",
    }


async def test_what_comes_is_heard(
    server: Server, subscribed: Subscribed, wanted: Subscriptions, heard: list[Message]
) -> None:
    """The acknowledgement is ours, the rest is for those who listen."""
    wanted.add("one", "a://b")
    await subscribed.renew()
    await until(lambda: len(heard) == 1)
    assert heard[0].param("uri") == "a://b"


async def test_a_new_stream_takes_over_from_the_one_before(
    server: Server, subscribed: Subscribed, wanted: Subscriptions
) -> None:
    """Which is closed only when the new one is acknowledged."""
    await subscribed.renew()
    wanted.add("one", "a://b")
    await subscribed.renew()
    await until(lambda: server.closed == [1])
    assert server.filters()[1]["resourceSubscriptions"] == ["a://b"]


async def test_many_who_subscribe_at_once_share_a_stream(
    server: Server, subscribed: Subscribed, wanted: Subscriptions
) -> None:
    """What is wanted by then is in it."""

    async def subscribe(uri: str) -> None:
        wanted.add("one", uri)
        await subscribed.renew()

    await asyncio.gather(*(subscribe(f"a://{number}") for number in range(50)))
    assert len(server.wire.requests) <= 2
    assert len(server.filters()[-1]["resourceSubscriptions"]) == 50


async def test_a_server_that_acknowledges_nothing_is_not_waited_for_long(
    server: Server, subscribed: Subscribed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may tell of changes all the same."""
    monkeypatch.setattr(room, "ACKNOWLEDGED_S", 0.05)
    server.silent = True
    async with asyncio.timeout(2):
        await subscribed.renew()
    assert server.closed == []


async def test_a_server_without_such_a_stream_is_not_waited_for(
    server: Server, subscribed: Subscribed
) -> None:
    """It is asked again when something else is wanted, or the next time."""
    server.status = 404
    async with asyncio.timeout(1):
        await subscribed.renew()
        await subscribed.renew()
    assert len(server.wire.requests) == 2


async def test_one_who_stops_waiting_leaves_one_stream(
    server: Server, subscribed: Subscribed, wanted: Subscriptions
) -> None:
    """The one before is closed all the same."""
    await subscribed.renew()
    server.silent = True
    wanted.add("one", "a://b")
    waiting = asyncio.create_task(subscribed.renew())
    await server.wire.until(2)
    waiting.cancel()
    await until(lambda: server.closed == [1])


async def test_stopping_closes_the_stream(server: Server, subscribed: Subscribed) -> None:
    """Also when there is none."""
    subscribed.stop()
    await subscribed.renew()
    subscribed.stop()
    await until(lambda: server.closed == [1])


def test_resources_are_named_only_when_there_are_some() -> None:
    """In an order that does not change."""
    params = json.loads(listen_params(frozenset({"b://", "a://"})))
    assert params["notifications"]["resourceSubscriptions"] == ["a://", "b://"]
    assert "resourceSubscriptions" not in json.loads(listen_params(frozenset()))["notifications"]
