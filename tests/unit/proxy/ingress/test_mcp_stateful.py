import asyncio
import json
from typing import Any

import pytest
from starlette.types import ASGIApp

from proxy.model.call import Door
from proxy.model.ledger import Outcome
from proxy.model.mcp import Era, Notification
from proxy.model.step import Answer
from proxy.upstream.conversation import Conversation
from tests.harness.asgi import Connection, connect, until
from tests.harness.doors import OTHER_TOKEN, STATEFUL, RecordingGate, Reply, ask, refused, rpc

CAPABLE: dict[str, Any] = {"elicitation": {}, "sampling": {}}
INITIALIZE = rpc("initialize", {"protocolVersion": STATEFUL, "capabilities": CAPABLE})
CALL = {"name": "rec__write", "arguments": {}}
TOOLS = Notification("notifications/tools/list_changed", b"{}")
UPDATED = Notification("notifications/resources/updated", b'{"uri":"f:x"}')


async def post(app: ASGIApp, body: bytes, session_id: str = "", **headers: str) -> Reply:
    fields = {"mcp-session-id": session_id} | headers
    return await ask(app, "POST", "/mcp", body, fields)


def open_post(app: ASGIApp, body: bytes, session_id: str) -> Connection:
    return connect(app, "POST", "/mcp", body, {"mcp-session-id": session_id})


@pytest.fixture
async def session_id(app: ASGIApp) -> str:
    return (await post(app, INITIALIZE)).headers["mcp-session-id"]


def notification(method: str, **params: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "method": method, "params": params}).encode()


def response(request_id: Any, **outcome: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": request_id, **outcome}).encode()


@pytest.mark.parametrize(
    ("asked", "given"),
    [(STATEFUL, STATEFUL), ("2025-06-18", "2025-06-18"), ("2024-11-05", STATEFUL)],
)
async def test_initialize_agrees_on_a_version(app: ASGIApp, asked: str, given: str) -> None:
    """The client's own where it is served, else our latest of the era."""
    reply = await post(app, rpc("initialize", {"protocolVersion": asked}))
    result = reply.json["result"]
    assert (result["protocolVersion"], result["serverInfo"]["name"]) == (given, "detent")
    assert len(reply.headers["mcp-session-id"]) == 43


async def test_initialize_names_what_the_manifest_offers(gate: RecordingGate, app: ASGIApp) -> None:
    """Of the endpoint's servers."""
    gate.methods = frozenset({("rec", "prompts/list"), ("rec", "logging/setLevel")})
    capabilities = (await post(app, INITIALIZE)).json["result"]["capabilities"]
    assert set(capabilities) == {"tools", "prompts", "logging"}


@pytest.mark.parametrize(
    "params",
    [{}, {"protocolVersion": 1}, {"protocolVersion": STATEFUL, "capabilities": []}],
)
async def test_initialize_has_its_form(app: ASGIApp, params: Any) -> None:
    """Without a version there is nothing to agree on."""
    reply = await post(app, rpc("initialize", params))
    assert (reply.status, reply.json["error"]["code"]) == (400, -32602)


async def test_a_session_lists_and_calls(
    app: ASGIApp, gate: RecordingGate, session_id: str
) -> None:
    """Without the marks of the later era."""
    listed = await post(app, rpc("tools/list"), session_id)
    names = [shown["name"] for shown in listed.json["result"]["tools"]]
    called = await post(app, rpc("tools/call", CALL, 2), session_id)
    assert names == ["rec__write", "repo__log"]
    assert (called.json["id"], "resultType" in called.json["result"]) == (2, False)
    assert [call.resource_id for call in gate.calls] == ["rec/write"]


async def test_ping_and_notifications_are_answered(app: ASGIApp, session_id: str) -> None:
    """A ping by an empty result, a notification by 202 and nothing."""
    assert (await post(app, rpc("ping"), session_id)).json["result"] == {}
    reply = await post(app, notification("notifications/initialized"), session_id)
    assert (reply.status, reply.body) == (202, b"")


@pytest.mark.parametrize("method", ["tasks/get", "roots/list", "server/discover", "x"])
async def test_other_methods_do_not_exist(app: ASGIApp, session_id: str, method: str) -> None:
    """Default deny, told inside of JSON-RPC: a 404 would end the session."""
    reply = await post(app, rpc(method), session_id)
    assert (reply.status, reply.json["error"]["code"]) == (200, -32601)


async def test_a_method_without_an_entry_does_not_exist(
    app: ASGIApp, gate: RecordingGate, session_id: str
) -> None:
    """As the pipeline says, also of a server that could be named."""
    gate.answer = refused("unknown-tool")
    reply = await post(app, rpc("resources/read", {"uri": "rec+f:x"}), session_id)
    assert (reply.status, reply.json["error"]["code"]) == (200, -32601)


async def test_a_request_needs_its_session(app: ASGIApp, gate: RecordingGate) -> None:
    """400 without an id, 404 for one that was never issued."""
    assert (await post(app, rpc("tools/list"))).status == 400
    assert (await post(app, rpc("tools/list"), "x" * 43)).status == 404
    assert gate.rejected == [("missing-session", Door.MCP), ("unknown-session", Door.MCP)]


async def test_a_session_of_another_principal_does_not_exist(app: ASGIApp, session_id: str) -> None:
    """The id is no credential; another endpoint of the same principal is another place, too."""
    other = await post(app, rpc("ping"), session_id, authorization=f"Bearer {OTHER_TOKEN}")
    elsewhere = await ask(app, "POST", "/mcp/rec", rpc("ping"), {"mcp-session-id": session_id})
    assert (other.status, elsewhere.status) == (404, 404)
    assert (await post(app, rpc("ping"), session_id)).status == 200


async def test_delete_ends_the_session(app: ASGIApp, gate: RecordingGate, session_id: str) -> None:
    """Its id is worth nothing afterwards; servers let go of what they kept for it."""
    headers = {"mcp-session-id": session_id}
    assert (await ask(app, "DELETE", "/mcp", headers=headers)).status == 200
    assert (await ask(app, "DELETE", "/mcp", headers=headers)).status == 404
    await until(lambda: gate.forgotten)
    assert len(gate.forgotten) == 1
    assert session_id not in gate.forgotten


async def in_flight(gate: RecordingGate, count: int = 1) -> None:
    await until(lambda: len(gate.calls) >= count)


async def test_a_call_in_flight_outlives_its_session(
    app: ASGIApp, gate: RecordingGate, session_id: str
) -> None:
    """Servers let go only afterwards."""
    gate.hold = asyncio.Event()
    waiting = open_post(app, rpc("tools/call", CALL), session_id)
    await in_flight(gate)
    await ask(app, "DELETE", "/mcp", headers={"mcp-session-id": session_id})
    await asyncio.sleep(0.01)
    assert gate.forgotten == []
    gate.hold.set()
    assert "result" in (await waiting.ended()).json
    await until(lambda: gate.forgotten)


async def test_a_cancellation_stops_the_call_it_names(
    app: ASGIApp, gate: RecordingGate, session_id: str
) -> None:
    """And the waiting request is answered, so that no client hangs."""
    gate.hold = asyncio.Event()
    waiting = open_post(app, rpc("tools/call", CALL, 1), session_id)
    await in_flight(gate)
    names: list[Any] = ["b", None, {}, True, 1]
    for request_id in names:
        assert gate.cancelled == []
        cancel = notification("notifications/cancelled", requestId=request_id)
        assert (await post(app, cancel, session_id)).status == 202
    assert (await waiting.ended()).json["error"]["code"] == -32800
    assert gate.cancelled == gate.calls


async def test_a_cancellation_reaches_no_other_session(
    app: ASGIApp, gate: RecordingGate, session_id: str
) -> None:
    """The same id in another session is another request."""
    gate.hold = asyncio.Event()
    waiting = open_post(app, rpc("tools/call", CALL, 7), session_id)
    await in_flight(gate)
    second = (await post(app, INITIALIZE)).headers["mcp-session-id"]
    await post(app, notification("notifications/cancelled", requestId=7), second)
    gate.hold.set()
    assert "result" in (await waiting.ended()).json
    assert gate.cancelled == []


async def test_a_client_that_has_gone_cancels_its_call(
    app: ASGIApp, gate: RecordingGate, session_id: str
) -> None:
    """Its answer could never be given; the id is free again."""
    gate.hold = asyncio.Event()
    waiting = open_post(app, rpc("tools/call", CALL, 7), session_id)
    await in_flight(gate)
    await waiting.close()
    assert (gate.cancelled, waiting.sent) == (gate.calls, [])
    assert (await post(app, rpc("ping", request_id=7), session_id)).status == 200


async def test_an_id_in_flight_cannot_be_used_again(
    app: ASGIApp, gate: RecordingGate, session_id: str
) -> None:
    """Two answers with one id could be mistaken for each other; afterwards it is free."""
    gate.hold = asyncio.Event()
    waiting = open_post(app, rpc("tools/call", CALL, 7), session_id)
    await in_flight(gate)
    reply = await post(app, rpc("ping", request_id=7), session_id)
    assert (reply.status, reply.json["error"]["data"]["code"]) == (400, "id-in-use")
    gate.hold.set()
    await waiting.ended()
    assert (await post(app, rpc("ping", request_id=7), session_id)).status == 200


async def test_servers_know_a_client_by_its_session(
    app: ASGIApp, gate: RecordingGate, session_id: str
) -> None:
    """By a key that is the same for all of its requests, and what it declared."""
    known: list[Any] = []

    async def meanwhile(client: Conversation) -> None:
        known.append((client.era, client.session, client.capabilities))

    gate.meanwhile = meanwhile
    for number in range(2):
        await post(app, rpc("tools/call", CALL, number), session_id)
    assert known[0] == known[1]
    assert (known[0][0], known[0][2]) == (Era.HANDSHAKE, CAPABLE)
    assert known[0][1] not in (session_id, "ses_loop")


async def test_a_log_level_holds_for_the_session(
    app: ASGIApp, gate: RecordingGate, session_id: str
) -> None:
    """From the call that sets it on, once a server has agreed."""
    gate.methods = frozenset({("rec", "logging/setLevel")})
    levels: list[str | None] = []

    async def meanwhile(client: Conversation) -> None:
        levels.append(client.log_level)

    gate.meanwhile = meanwhile
    agreed, gate.answer = gate.answer, refused("default-deny")
    await post(app, rpc("logging/setLevel", {"level": "debug"}), session_id)
    await post(app, rpc("tools/call", CALL), session_id)
    gate.answer = agreed
    await post(app, rpc("logging/setLevel", {"level": "error"}), session_id)
    await post(app, rpc("tools/call", CALL), session_id)
    assert levels == ["debug", None, "error", "error"]
    reply = await post(app, rpc("logging/setLevel", {"level": "loud"}), session_id)
    assert (reply.status, reply.json["error"]["code"]) == (400, -32602)


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


async def test_headers_of_the_later_era_must_agree(
    app: ASGIApp, gate: RecordingGate, session_id: str
) -> None:
    """Where they come."""
    body = rpc("tools/call", CALL)
    reply = await post(app, body, session_id, **{"mcp-name": "rec__read"})
    assert (reply.status, reply.json["error"]["code"], gate.calls) == (400, -32020, [])


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


async def test_an_error_of_a_server_is_passed_on(
    app: ASGIApp, gate: RecordingGate, session_id: str
) -> None:
    """As it came, with the status of every answer."""
    raw = b'{"code":-32002,"message":"no","data":{"uri":"f:x"}}'
    gate.answer = lambda _: Answer("s", "allow", (), Outcome.DONE, result=raw, is_rpc_error=True)
    reply = await post(app, rpc("resources/read", {"uri": "rec+f:x"}), session_id)
    assert (reply.status, reply.json["error"]) == (200, json.loads(raw))
