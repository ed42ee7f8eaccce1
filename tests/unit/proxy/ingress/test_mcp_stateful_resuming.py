"""Answers that are resumed by a GET (MCP 2025-11-25, transports)."""

import asyncio
from typing import Any

import pytest
from starlette.types import ASGIApp

from proxy.errors import StoreUnavailable
from proxy.model.call import ToolCall
from proxy.model.step import Answer
from proxy.upstream.conversation import Conversation
from tests.harness.asgi import Connection, connect, until
from tests.harness.doors import OTHER_TOKEN, RecordingGate, ask, rpc
from tests.harness.mcp_sessions import (
    CALL,
    INITIALIZE,
    initialized,
    notification,
    open_post,
    post,
    response,
)

BOTH_MEDIA = "application/json, text/event-stream"
PROGRESS = b'{"progressToken":9,"progress":1}'
PARAMS = CALL | {"_meta": {"progressToken": 5}}


@pytest.fixture
async def session_id(app: ASGIApp) -> str:
    return await initialized(app)


@pytest.fixture
def gate(gate: RecordingGate) -> RecordingGate:
    """A server that tells something, closes its stream, and answers when it may."""

    async def meanwhile(client: Conversation) -> None:
        await client.tell("notifications/progress", PROGRESS)
        await client.pause(0.1)

    gate.meanwhile, gate.hold = meanwhile, asyncio.Event()
    return gate


async def polled(app: ASGIApp, session_id: str) -> Connection:
    """Make a call whose connection the gateway closes, and wait until it has."""
    return await open_post(app, rpc("tools/call", PARAMS, 1), session_id).ended_early()


def resume(app: ASGIApp, session_id: str, last: str, **more: str) -> Connection:
    fields = {"mcp-session-id": session_id, "accept": "text/event-stream", "last-event-id": last}
    return connect(app, "GET", "/mcp", b"", fields | more)


async def test_a_client_that_was_sent_away_comes_back(
    app: ASGIApp, gate: RecordingGate, session_id: str
) -> None:
    """For the rest of its answer; that stream ends with the result."""
    first = await polled(app, session_id)
    assert first.event_ids == ["1-0", "1-1", "1-1"]
    assert b"retry: 100\n" in first.body
    later = resume(app, session_id, "1-1")
    assert gate.hold is not None
    gate.hold.set()
    (result,) = (await later.ended()).events
    assert (result["id"], later.event_ids, gate.cancelled) == (1, ["1-2"], [])


async def test_what_was_sent_comes_again_from_where_it_was_lost(
    app: ASGIApp, gate: RecordingGate, session_id: str
) -> None:
    """For a while also after the end, and as often as it takes."""
    assert gate.hold is not None
    gate.hold.set()
    await polled(app, session_id)
    for _ in range(2):
        again = await resume(app, session_id, "1-0").ended()
        assert (again.status, again.event_ids) == (200, ["1-1", "1-2"])


async def test_a_call_without_its_client_can_be_cancelled(
    app: ASGIApp, gate: RecordingGate, session_id: str
) -> None:
    """By name, as any other."""
    await polled(app, session_id)
    await post(app, notification("notifications/cancelled", requestId=1), session_id)
    (result,) = (await resume(app, session_id, "1-1").ended()).events
    assert (result["error"]["code"], gate.cancelled) == (-32800, gate.calls)


async def test_a_call_ends_with_the_session_of_its_client(
    app: ASGIApp, gate: RecordingGate, session_id: str
) -> None:
    """Where nobody waits for it: there is no way back."""
    await polled(app, session_id)
    await ask(app, "DELETE", "/mcp", headers={"mcp-session-id": session_id})
    await until(lambda: gate.cancelled)
    assert (await resume(app, session_id, "1-1").ended()).status == 404


async def test_who_hung_up_learns_that_the_call_was_cancelled(
    app: ASGIApp, gate: RecordingGate, session_id: str
) -> None:
    """Nobody else was expected back."""

    async def meanwhile(client: Conversation) -> None:
        await client.tell("notifications/progress", PROGRESS)

    gate.meanwhile = meanwhile
    stream = open_post(app, rpc("tools/call", PARAMS, 1), session_id)
    await stream.heard(1)
    await stream.close()
    assert gate.cancelled == gate.calls
    (result,) = (await resume(app, session_id, "1-1").ended()).events
    assert result["error"]["code"] == -32800


async def test_a_server_asks_while_its_client_is_away(
    app: ASGIApp, gate: RecordingGate, session_id: str
) -> None:
    """The question waits for the client."""
    replies: list[Any] = []

    async def meanwhile(client: Conversation) -> None:
        await client.pause(0.1)
        replies.append(await client.ask("elicitation/create", b'{"message":"name?"}'))

    gate.meanwhile, gate.hold = meanwhile, None
    await polled(app, session_id)
    later = resume(app, session_id, "1-0")
    (asked,) = await later.heard(1)
    await post(app, response(asked["id"], result={"action": "decline"}), session_id)
    assert (await later.ended()).events[1]["id"] == 1
    assert replies[0].result == b'{"action":"decline"}'


async def test_one_session_has_nothing_of_anothers_answers(
    app: ASGIApp, gate: RecordingGate, session_id: str
) -> None:
    """Nor has another principal; what is not kept is an error, and no end of the session."""
    await polled(app, session_id)
    second = (await post(app, INITIALIZE)).headers["mcp-session-id"]
    elsewhere = await resume(app, second, "1-0").ended()
    stranger = await resume(app, session_id, "1-0", authorization=f"Bearer {OTHER_TOKEN}").ended()
    assert (elsewhere.status, elsewhere.json["error"]["data"]["code"]) == (400, "stream-not-kept")
    assert stranger.status == 404
    assert (await post(app, rpc("ping", request_id=2), session_id)).status == 200


async def test_a_resumed_stream_closes_on_a_kill(
    app: ASGIApp, gate: RecordingGate, session_id: str
) -> None:
    """And with its session, as the other one."""
    await polled(app, session_id)
    later = resume(app, session_id, "1-1")
    await until(lambda: gate.streams)
    gate.streams[0].set()
    assert (await later.ended()).events == []
    gate.killed = True
    assert (await resume(app, session_id, "1-1").ended()).status == 503


async def test_a_fault_after_the_stream_has_begun_is_its_last_event(
    app: ASGIApp, gate: RecordingGate, session_id: str
) -> None:
    """Its status has been given by then."""

    def unavailable(_: ToolCall) -> Answer:
        raise StoreUnavailable

    gate.answer = unavailable
    assert gate.hold is not None
    await polled(app, session_id)
    gate.hold.set()
    (result,) = (await resume(app, session_id, "1-1").ended()).events
    assert (result["id"], result["error"]["code"]) == (1, -32013)


async def test_clients_of_before_are_not_sent_away(app: ASGIApp, gate: RecordingGate) -> None:
    """Priming events have no JSON, which they do not expect (SEP-1699)."""
    old = rpc("initialize", {"protocolVersion": "2025-06-18", "capabilities": {}})
    session_id = (await post(app, old)).headers["mcp-session-id"]
    assert gate.hold is not None
    gate.hold.set()
    stream = await open_post(app, rpc("tools/call", PARAMS, 1), session_id).ended()
    assert (stream.event_ids, len(stream.events)) == ([], 2)


@pytest.mark.parametrize(
    ("method", "accept", "media"),
    [
        ("tools/list", BOTH_MEDIA, "text/event-stream"),
        ("tools/list", "application/json", "application/json"),
        ("tools/list", "*/*", "application/json"),
        ("ping", BOTH_MEDIA, "application/json"),
        ("tools/call", BOTH_MEDIA, "application/json"),
    ],
)
async def test_lists_are_streams_and_what_is_said_at_once_is_not(
    app: ASGIApp, gate: RecordingGate, session_id: str, method: str, accept: str, media: str
) -> None:
    """A list only for those that name the type."""
    gate.meanwhile = gate.hold = None
    body = rpc(method, CALL if method == "tools/call" else {})
    reply = await post(app, body, session_id, accept=accept)
    assert reply.headers["content-type"] == media
