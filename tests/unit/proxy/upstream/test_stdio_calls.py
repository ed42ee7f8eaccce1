"""Calls to one shared process."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from proxy.errors import Refused
from proxy.model.mcp import Era
from proxy.model.tool import Effect, ToolManifest
from proxy.process.child import ChildSpec, spawn
from proxy.upstream import stdio_calls as room
from proxy.upstream.base import UpstreamCall, UpstreamResult
from proxy.upstream.clock import Clock
from proxy.upstream.jsonrpc import Message
from proxy.upstream.kept import TOO_MANY
from proxy.upstream.leaving import Leaving
from proxy.upstream.pipe import Pipe
from proxy.upstream.stdio_calls import StdioCalls
from proxy.upstream.subscriptions import MAX_URI_CHARS, Subscriptions
from tests.harness.client import Client
from tests.harness.scripted import SCRIPT


class Talks:
    """Calls to a scripted server, what it said outside, and what it read."""

    def __init__(self, pipe: Pipe, log: Path) -> None:
        self.wanted = Subscriptions()
        self.outside: list[Message] = []
        self.calls = StdioCalls(pipe, self.wanted, self.take)
        pipe._outside = self.take
        self.log = log

    def take(self, message: Message) -> bool:
        if not self.calls.acknowledged(message):
            self.outside.append(message)
        return True

    def heard(self, method: str) -> list[dict[str, Any]]:
        """Return the params of the messages with that method."""
        messages = [json.loads(line) for line in self.log.read_bytes().splitlines()]
        return [one["params"] for one in messages if one.get("method") == method]

    async def until(self, method: str, count: int) -> list[dict[str, Any]]:
        async with asyncio.timeout(5):
            while len(self.heard(method)) < count:
                await asyncio.sleep(0.005)
        return self.heard(method)

    async def __call__(
        self,
        tool: str,
        session: str = "one",
        arguments: bytes = b"{}",
        sending: Callable[[], None] = lambda: None,
    ) -> UpstreamResult:
        method = tool if "/" in tool else "tools/call"
        client = Client(Era.HANDSHAKE, session)
        manifest = ToolManifest("s", tool, Effect.WRITE)
        call = UpstreamCall(manifest, arguments, 5, method=method, conversation=client)
        async with Clock(5) as clock:
            return await self.calls(call, Leaving(sending), clock)


Talk = Callable[..., Awaitable[Talks]]


@pytest.fixture
async def talk(tmp_path: Path) -> AsyncIterator[Talk]:
    """Give a starter of scripted servers of an era."""
    ends: list[Callable[[], Awaitable[None]]] = []

    async def start(era: Era, way: str = "") -> Talks:
        log = tmp_path / "log"
        log.touch()
        way = way or ("stateless" if era is Era.STATELESS else "handshake")
        command = (sys.executable, "-I", "-S", str(SCRIPT), str(log), way)
        child = await spawn(ChildSpec("scripted", command))
        pipe = Pipe(child, lambda _: None)
        pipe.era = era
        made = Talks(pipe, log)
        reading = asyncio.create_task(pipe.run())

        async def end() -> None:
            reading.cancel()
            await asyncio.wait({reading})
            await child.stop(0.2)

        ends.append(end)
        return made

    yield start
    for end in ends:
        await end()


async def test_a_call_comes_back_in_its_own_text(talk: Talk) -> None:
    """Any method."""
    talks = await talk(Era.HANDSHAKE)
    result = await talks("resources/read", arguments=b'{"uri":"a://b"}')
    assert result.result == b'{"contents": [1.0]}'
    assert talks.heard("resources/read")[0]["uri"] == "a://b"


async def test_a_tool_that_needs_input_is_called_again(talk: Talk) -> None:
    """With its own state."""
    talks = await talk(Era.STATELESS)
    asked: list[int] = []
    result = await talks("input", sending=lambda: asked.append(1))
    assert result.result == b'{"resultType": "complete"}'
    assert [one.get("requestState") for one in talks.heard("tools/call")] == [None, "s"]
    assert asked == [1, 1]


async def test_a_subscription_is_shared_by_those_who_want_it(talk: Talk) -> None:
    """The process has one; it is given back when nobody wants it any more."""
    talks = await talk(Era.HANDSHAKE)
    for session in ("one", "two"):
        await talks("resources/subscribe", session, b'{"uri":"a://b"}')
    assert (await talks("resources/unsubscribe", "one", b'{"uri":"a://b"}')).result == b"{}"
    assert talks.heard("resources/unsubscribe") == []
    await talks("resources/unsubscribe", "two", b'{"uri":"a://b"}')
    assert len(talks.heard("resources/unsubscribe")) == 1


async def test_what_stands_against_a_call_stands_against_giving_back(talk: Talk) -> None:
    """Also where the server is not told."""

    def refuse() -> None:
        raise Refused.because("killed")

    talks = await talk(Era.HANDSHAKE)
    for session in ("one", "two"):
        await talks("resources/subscribe", session, b'{"uri":"a://b"}')
    with pytest.raises(Refused):
        await talks("resources/unsubscribe", "one", b'{"uri":"a://b"}', refuse)


async def test_too_much_is_not_subscribed_to(talk: Talk) -> None:
    """The server hears nothing of it."""
    talks = await talk(Era.HANDSHAKE)
    long = b'{"uri":"%b"}' % (b"a" * (MAX_URI_CHARS + 1))
    assert await talks("resources/subscribe", "one", long) == TOO_MANY
    assert talks.heard("resources/subscribe") == []


async def test_a_subscription_the_server_refuses_is_none(talk: Talk) -> None:
    """Nothing is noted."""
    talks = await talk(Era.HANDSHAKE, "unsubscribable")
    assert (await talks("resources/subscribe", "one", b'{"uri":"a://b"}')).is_rpc_error
    assert talks.wanted.uris() == frozenset()


async def test_a_server_that_was_started_again_is_told(talk: Talk) -> None:
    """Of every resource somebody wants to hear of."""
    talks = await talk(Era.HANDSHAKE)
    for uri in ("a://2", "a://1"):
        talks.wanted.add("one", uri)
    talks.calls.resume()
    told = await talks.until("resources/subscribe", 2)
    assert [one["uri"] for one in told] == ["a://1", "a://2"]


async def test_what_nobody_wants_is_given_back(talk: Talk) -> None:
    """When a session has ended."""
    talks = await talk(Era.HANDSHAKE)
    await talks.calls.release(("a://1", "a://2"))
    assert len(await talks.until("resources/unsubscribe", 2)) == 2


async def test_a_stateless_server_is_listened_to(talk: Talk) -> None:
    """Anew with each subscription; the stream before is given up then."""
    talks = await talk(Era.STATELESS)
    talks.calls.resume()
    await talks("resources/subscribe", "one", b'{"uri":"a://b"}')
    first, second = await talks.until("subscriptions/listen", 2)
    assert "resourceSubscriptions" not in first["notifications"]
    assert second["notifications"]["resourceSubscriptions"] == ["a://b"]
    assert len(await talks.until("notifications/cancelled", 1)) == 1
    async with asyncio.timeout(10):
        while not talks.outside:
            await asyncio.sleep(0.01)
    assert [one.param("uri") for one in talks.outside] == ["a://b"]
    talks.wanted.forget("one")
    await talks.calls.release(("a://b",))
    assert len(await talks.until("subscriptions/listen", 3)) == 3
    await talks.calls.release(())
    await talks("echo")
    assert len(talks.heard("subscriptions/listen")) == 3


async def test_a_server_that_acknowledges_nothing_is_not_waited_for_long(
    talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may tell of updates all the same."""
    monkeypatch.setattr(room, "ACKNOWLEDGED_S", 0.05)
    talks = await talk(Era.STATELESS, "quiet")
    async with asyncio.timeout(2):
        await talks("resources/subscribe", "one", b'{"uri":"a://b"}')
    assert talks.wanted.uris() == {"a://b"}
    assert talks.heard("notifications/cancelled") == []


async def test_many_who_subscribe_at_once_share_a_stream(talk: Talk) -> None:
    """What is wanted by then is in it."""
    talks = await talk(Era.STATELESS)
    uris = [b'{"uri":"a://%d"}' % number for number in range(30)]
    await asyncio.gather(*(talks("resources/subscribe", "one", uri) for uri in uris))
    heard = talks.heard("subscriptions/listen")
    assert len(heard) <= 2
    assert len(heard[-1]["notifications"]["resourceSubscriptions"]) == 30


async def test_only_its_own_acknowledgement_counts(talk: Talk) -> None:
    """A word on another stream says nothing about this one."""
    talks = await talk(Era.STATELESS)
    other = Message(method="notifications/subscriptions/acknowledged", params={"_meta": 1})
    assert talks.calls.acknowledged(other)
    assert not talks.calls.acknowledged(Message(method="notifications/message"))


async def test_an_answer_to_a_server_that_is_gone_is_dropped(talk: Talk) -> None:
    """The call under way learns of it by itself."""
    talks = await talk(Era.HANDSHAKE)
    talks.calls.pipe._broken = True
    await talks.calls._answer(b"{}")
