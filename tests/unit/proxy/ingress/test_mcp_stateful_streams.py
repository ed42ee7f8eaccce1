from typing import Any

import pytest
from starlette.types import ASGIApp

from proxy.model.mcp import Notification
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

TOOLS = Notification("notifications/tools/list_changed", b"{}")
UPDATED = Notification("notifications/resources/updated", b'{"uri":"f:x"}')


@pytest.fixture
async def session_id(app: ASGIApp) -> str:
    return await initialized(app)


def eliciting(gate: RecordingGate) -> list[Any]:
    """Let a server tell and ask; return what it hears."""
    replies: list[Any] = []

    async def meanwhile(client: Conversation) -> None:
        await client.tell("notifications/progress", b'{"progressToken":9,"progress":1}')
        replies.append(await client.ask("elicitation/create", b'{"message":"name?"}'))

    gate.meanwhile = meanwhile
    return replies


async def test_a_server_asks_on_the_calls_own_stream(
    app: ASGIApp, gate: RecordingGate, session_id: str
) -> None:
    """The client posts its answer, which is good once; the result is the last event."""
    replies = eliciting(gate)
    params = CALL | {"_meta": {"progressToken": 5}}
    stream = open_post(app, rpc("tools/call", params, 1), session_id)
    told, asked = await stream.heard(2)
    assert told["params"]["progressToken"] == 5
    answer = response(asked["id"], result={"action": "accept", "content": {"n": 1.0}})
    taken = await post(app, answer, session_id)
    again = await post(app, answer, session_id)
    assert (taken.status, taken.body) == (202, b"")
    assert (again.status, again.json["error"]["data"]["code"]) == (400, "unexpected-response")
    assert (await stream.ended()).events[2]["id"] == 1
    assert replies[0].result == b'{"action":"accept","content":{"n":1}}'


async def test_an_answer_is_good_in_its_own_session_only(
    app: ASGIApp, gate: RecordingGate, session_id: str
) -> None:
    """Not in another one of the same principal, nor for another principal."""
    eliciting(gate)
    stream = open_post(app, rpc("tools/call", CALL, 1), session_id)
    (asked,) = await stream.heard(1)
    answer = response(asked["id"], result={})
    second = (await post(app, INITIALIZE)).headers["mcp-session-id"]
    elsewhere = await post(app, answer, second)
    stranger = await post(app, answer, session_id, authorization=f"Bearer {OTHER_TOKEN}")
    assert (elsewhere.status, stranger.status) == (400, 404)
    assert (await post(app, answer, session_id)).status == 202
    await stream.ended()


async def test_a_client_that_takes_no_stream_is_not_asked(
    app: ASGIApp, gate: RecordingGate, session_id: str
) -> None:
    """It gets its result as JSON, and nothing before."""
    replies = eliciting(gate)
    body = rpc("tools/call", CALL, 1)
    reply = await post(app, body, session_id, accept="application/json")
    assert reply.headers["content-type"] == "application/json"
    assert "result" in reply.json
    assert b"-32601" in replies[0].error


async def test_a_cancelled_call_ends_its_stream(
    app: ASGIApp, gate: RecordingGate, session_id: str
) -> None:
    """What it asked is taken back, then it is answered."""
    eliciting(gate)
    stream = open_post(app, rpc("tools/call", CALL, 1), session_id)
    (asked,) = await stream.heard(1)
    await post(app, notification("notifications/cancelled", requestId=1), session_id)
    _, taken_back, result = (await stream.ended()).events
    assert taken_back["params"] == {"requestId": asked["id"]}
    assert result["error"]["code"] == -32800


def open_stream(app: ASGIApp, session_id: str, last: str = "", path: str = "/mcp") -> Connection:
    fields = {"mcp-session-id": session_id, "accept": "text/event-stream", "last-event-id": last}
    return connect(app, "GET", path, b"", fields)


async def opened(app: ASGIApp, session_id: str, last: str = "") -> Connection:
    stream = open_stream(app, session_id, last)
    await until(lambda: len(stream.sent) > 1)
    return stream


async def test_the_stream_closes_on_a_kill(
    app: ASGIApp, gate: RecordingGate, session_id: str
) -> None:
    """It is held open until then, and there is only one."""
    stream = await opened(app, session_id)
    assert stream.event_ids == ["0"]
    assert (await open_stream(app, session_id).ended()).status == 409
    gate.streams[0].set()
    await stream.ended()
    assert (stream.status, stream.headers["content-type"]) == (200, "text/event-stream")
    assert (gate.streams, gate.watched) == ([], [])


async def test_servers_are_heard_outside_of_calls(
    app: ASGIApp, gate: RecordingGate, session_id: str
) -> None:
    """Each event numbered, with names this client can use."""
    stream = await opened(app, session_id)
    for said in (TOOLS, UPDATED):
        gate.said.put_nowait(("rec", said))
    first, second = await stream.heard(2)
    assert first == {"jsonrpc": "2.0", "method": TOOLS.method, "params": {}}
    assert second["params"] == {"uri": "rec+f:x"}
    assert stream.event_ids == ["0", "1", "2"]
    await stream.close()
    assert gate.watched == []


async def test_a_servers_own_endpoint_keeps_its_names(app: ASGIApp, gate: RecordingGate) -> None:
    """There is nobody to mistake it for."""
    session = await ask(app, "POST", "/mcp/rec", INITIALIZE)
    stream = open_stream(app, session.headers["mcp-session-id"], path="/mcp/rec")
    gate.said.put_nowait(("rec", UPDATED))
    assert (await stream.heard(1))[0]["params"] == {"uri": "f:x"}
    await stream.close()


async def test_a_broken_stream_is_resumed(
    app: ASGIApp, gate: RecordingGate, session_id: str
) -> None:
    """What went into the void comes again, once; the broken one is closed."""
    broken = await opened(app, session_id)
    for _ in range(3):
        gate.said.put_nowait(("rec", TOOLS))
    await broken.heard(3)
    resumed = await opened(app, session_id, last="1")
    await broken.ended()
    assert resumed.event_ids == ["2", "3", "3"]
    gate.said.put_nowait(("rec", UPDATED))
    assert (await resumed.heard(3))[2]["method"] == UPDATED.method
    await resumed.close()


async def test_one_session_resumes_nothing_of_another(
    app: ASGIApp, gate: RecordingGate, session_id: str
) -> None:
    """Whatever number it names."""
    stream = await opened(app, session_id)
    gate.said.put_nowait(("rec", TOOLS))
    await stream.heard(1)
    second = (await post(app, INITIALIZE)).headers["mcp-session-id"]
    other = await opened(app, second, last="0")
    assert (other.events, other.event_ids) == ([], ["0"])
    await other.close()
    await stream.close()


async def test_the_stream_closes_with_its_session(app: ASGIApp, session_id: str) -> None:
    """At once."""
    stream = await opened(app, session_id)
    await ask(app, "DELETE", "/mcp", headers={"mcp-session-id": session_id})
    assert (await stream.ended()).status == 200


async def test_no_stream_opens_under_a_kill(
    app: ASGIApp, gate: RecordingGate, session_id: str
) -> None:
    """It is refused as a call would be."""
    gate.killed = True
    reply = await open_stream(app, session_id).ended()
    assert (reply.status, reply.json["error"]["code"]) == (503, -32011)


async def test_a_stream_must_be_accepted(app: ASGIApp, session_id: str) -> None:
    """A client that takes only JSON gets no stream."""
    headers = {"mcp-session-id": session_id, "accept": "application/json"}
    assert (await ask(app, "GET", "/mcp", headers=headers)).status == 406
