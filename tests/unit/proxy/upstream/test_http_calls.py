"""One call over HTTP, in the way of either era."""

import asyncio
import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from proxy.egress.client import EgressClient
from proxy.errors import Refused, UpstreamFailed
from proxy.model.mcp import Era, RpcReply
from proxy.model.tool import Effect, ToolManifest
from proxy.upstream.base import UpstreamCall, UpstreamResult
from proxy.upstream.channel import Channel
from proxy.upstream.clock import Clock
from proxy.upstream.exchange import Session, SessionOver
from proxy.upstream.http_calls import HttpCalls
from proxy.upstream.jsonrpc import Message
from proxy.upstream.leaving import Leaving
from proxy.upstream.mcp_wire import Spoken
from proxy.upstream.mirrored import Marks
from proxy.upstream.streamable import Endpoint
from tests.harness.client import Client
from tests.harness.mcp_on_wire import McpServer, event, head
from tests.harness.wire import answer

SESSION = Session(Spoken(Era.HANDSHAKE, "2025-06-18"), "s1")


def say(**message: Any) -> bytes:
    return event(json.dumps({"jsonrpc": "2.0", **message}).encode())


class Caller:
    """Makes calls at the recorded server, and keeps what they come to."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.outside: list[Message] = []
        self.changes: list[int] = []
        self.sent: list[int] = []
        self.channel = Channel("one", SESSION, endpoint, lambda *_: False)
        self.calls = HttpCalls(
            endpoint, itertools.count(1), self.marks, self.take, lambda: self.changes.append(1)
        )

    async def marks(self, tool: str) -> Marks:
        return ((("x",), "Mcp-Param-X"),)

    def take(self, message: Message) -> bool:
        self.outside.append(message)
        return True

    async def __call__(self, era: Era, call: UpstreamCall) -> UpstreamResult:
        leaving = Leaving(lambda: self.sent.append(1))
        async with Clock(5) as clock:
            if era is Era.STATELESS:
                return await self.calls.stateless(call, leaving, clock)
            return await self.calls.in_channel(call, self.channel, leaving, clock)


@pytest.fixture
async def caller(server: McpServer, make_client: Callable[..., EgressClient]) -> Caller:
    """Give a caller."""
    return Caller(Endpoint("s", make_client("/mcp"), {}))


def call(client: Client | None = None, **members: Any) -> UpstreamCall:
    given = UpstreamCall(
        ToolManifest("s", "echo", Effect.WRITE),
        b'{"x":"eu"}',
        5,
        {"Authorization": "Bearer lent"},
        conversation=client or Client(Era.HANDSHAKE),
    )
    return replace(given, **members)


def talking(server: McpServer, *says: bytes) -> None:
    """Let each call be answered by a stream that says this before its result."""

    async def on_call(message: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        writer.write(head() + b"".join(says))
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.write(say(id=message["id"], result={"content": []}))

    server.on_call = on_call


async def test_a_call_in_a_session(server: McpServer, caller: Caller) -> None:
    """In it, with the lease, without what 2026 repeats in headers."""
    await caller(Era.HANDSHAKE, call())
    (received,) = server.heard("tools/call")
    expected = {
        "mcp-session-id": "s1",
        "authorization": "Bearer lent",
        "mcp-name": None,
        "mcp-param-x": None,
    }
    assert {name: received.header(name) for name in expected} == expected


async def test_a_call_without_a_session(server: McpServer, caller: Caller) -> None:
    """With the lease, its name and its marked arguments."""
    await caller(Era.STATELESS, call())
    (received,) = server.heard("tools/call")
    expected = {
        "mcp-session-id": None,
        "authorization": "Bearer lent",
        "mcp-name": "echo",
        "mcp-param-x": "eu",
    }
    assert {name: received.header(name) for name in expected} == expected


@pytest.mark.parametrize("era", list(Era))
async def test_progress_is_that_of_the_call(era: Era, server: McpServer, caller: Caller) -> None:
    """By the number of its request."""
    progress = say(method="notifications/progress", params={"progressToken": 1, "progress": 1})
    other = say(method="notifications/progress", params={"progressToken": 2, "progress": 1})
    talking(server, progress, other)
    client = Client(era)
    await caller(era, call(client))
    sent = json.loads(server.heard("tools/call")[0].body)
    assert sent["params"]["_meta"]["progressToken"] == sent["id"] == 1
    assert len(client.heard("notifications/progress")) == 1


async def test_the_client_answers_in_the_session(server: McpServer, caller: Caller) -> None:
    """With the lease of the call it belongs to."""
    talking(server, say(id="q", method="roots/list"))
    client = Client(Era.HANDSHAKE)
    await caller(Era.HANDSHAKE, call(client))
    (replied,) = [one for one in server.wire.requests if b'"result"' in one.body]
    assert json.loads(replied.body) == {"jsonrpc": "2.0", "id": "q", "result": {"roots": []}}
    assert (replied.header("mcp-session-id"), replied.header("authorization")) == (
        "s1",
        "Bearer lent",
    )


async def test_an_answer_the_server_does_not_take_is_no_end(
    server: McpServer, caller: Caller
) -> None:
    """It has to go on without."""
    talking(server, say(id="q", method="roots/list"))
    usual = server.handle

    async def handle(received: Any, writer: asyncio.StreamWriter) -> None:
        if b'"result"' in received.body:
            writer.write(answer(b"", 400))
        else:
            await usual(received, writer)

    server.wire.handler = handle
    assert not (await caller(Era.HANDSHAKE, call())).is_error


async def test_a_stateless_server_is_not_answered(server: McpServer, caller: Caller) -> None:
    """It does not ask; a list it says changed is for all."""
    talking(
        server,
        say(id="q", method="roots/list"),
        say(method="notifications/tools/list_changed"),
    )
    client = Client(Era.STATELESS)
    await caller(Era.STATELESS, call(client))
    assert (client.asked, client.told) == ([], [])
    assert len(server.wire.requests) == 1
    assert [one.method for one in caller.outside] == ["notifications/tools/list_changed"]


async def test_rounds_are_calls_of_their_own(server: McpServer, caller: Caller) -> None:
    """Each with its own number, lease and look at the kill state."""

    async def on_call(message: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        wants = {"resultType": "input_required", "inputRequests": {"r": {"method": "roots/list"}}}
        done = {"content": [], "resultType": "complete"}
        first = "inputResponses" not in message["params"]
        writer.write(server.reply(message, result=wants if first else done))

    server.on_call = on_call
    await caller(Era.STATELESS, call())
    sent = server.heard("tools/call")
    assert [json.loads(one.body)["id"] for one in sent] == [1, 2]
    assert {one.header("authorization") for one in sent} == {"Bearer lent"}
    assert json.loads(sent[1].body)["params"]["inputResponses"] == {"r": {"roots": []}}
    assert caller.sent == [1, 1]


@pytest.mark.parametrize(("code", "changes"), [(-32020, 1), (-32022, 1), (-32602, 0)])
async def test_a_server_that_is_not_what_it_was(
    code: int, changes: int, server: McpServer, caller: Caller
) -> None:
    """Its error is passed on, and what was learned is forgotten."""

    async def on_call(message: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        writer.write(server.reply(message, error={"code": code, "message": "m"}))

    server.on_call = on_call
    assert (await caller(Era.STATELESS, call())).is_rpc_error
    assert len(caller.changes) == changes


async def test_a_session_that_is_over_is_lost(server: McpServer, caller: Caller) -> None:
    """Nobody uses it again."""

    async def on_call(message: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        writer.write(answer(b"", 404))

    server.on_call = on_call
    with pytest.raises(SessionOver):
        await caller(Era.HANDSHAKE, call())
    assert caller.channel.gone.is_set()


async def test_a_level_is_set_once(server: McpServer, caller: Caller) -> None:
    """For a stateless client that names one; the session's is the client's own otherwise."""
    for level in ("info", "info", None, "error"):
        await caller(Era.HANDSHAKE, call(Client(Era.STATELESS, log_level=level)))
    await caller(Era.HANDSHAKE, call(Client(Era.HANDSHAKE, log_level="debug")))
    set_to = [json.loads(one.body)["params"]["level"] for one in server.heard("logging/setLevel")]
    assert set_to == ["info", "error"]


async def test_a_level_that_cannot_be_set_is_no_end(server: McpServer, caller: Caller) -> None:
    """A server without messages has no levels."""
    usual = server.handle

    async def handle(received: Any, writer: asyncio.StreamWriter) -> None:
        if b"setLevel" in received.body:
            writer.write(answer(b"", 500))
        else:
            await usual(received, writer)

    server.wire.handler = handle
    client = Client(Era.STATELESS, log_level="info")
    assert not (await caller(Era.HANDSHAKE, call(client))).is_error


class Refusing(Client):
    """A client whose guard stops the call."""

    async def ask(self, method: str, params: bytes) -> RpcReply:
        raise Refused.because("canary-touched")


async def test_a_call_that_is_stopped_on_the_way_is_cancelled(
    server: McpServer, caller: Caller
) -> None:
    """What stopped it passes, and the server is told, with the lease of the call."""
    talking(server, say(id="q", method="roots/list"))
    with pytest.raises(Refused):
        await caller(Era.HANDSHAKE, call(Refusing(Era.HANDSHAKE)))
    (told,) = await server.until("notifications/cancelled")
    assert told.header("authorization") == "Bearer lent"
    assert json.loads(told.body)["params"]["requestId"] == 1


async def test_a_lease_that_would_frame_is_refused(server: McpServer, caller: Caller) -> None:
    """In either era; nothing is sent."""
    for era in Era:
        with pytest.raises(UpstreamFailed):
            await caller(era, call(headers={"Mcp-Session-Id": "x"}))
    assert server.wire.requests == []
