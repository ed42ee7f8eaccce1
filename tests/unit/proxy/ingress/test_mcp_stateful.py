import asyncio
import json
from typing import Any

import pytest
from starlette.types import ASGIApp

from proxy.errors import BadRequest
from proxy.ingress.mcp_stateful import McpSessions, SessionLimits
from proxy.model.call import Door
from tests.harness.doors import OTHER_TOKEN, STATEFUL, RecordingGate, Reply, ask, rpc

INITIALIZE = rpc("initialize", {"protocolVersion": STATEFUL, "capabilities": {}})
CALL = {"name": "rec__write", "arguments": {}}
ACME = ("acme", "loop", None)
OTHER = ("acme", "other", None)


async def post(app: ASGIApp, body: bytes, session_id: str = "", **headers: str) -> Reply:
    fields = {"mcp-session-id": session_id} | headers
    return await ask(app, "POST", "/mcp", body, fields)


@pytest.fixture
async def session_id(app: ASGIApp) -> str:
    return (await post(app, INITIALIZE)).headers["mcp-session-id"]


def notification(method: str, **params: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "method": method, "params": params}).encode()


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


@pytest.mark.parametrize("params", [{}, {"protocolVersion": 1}])
async def test_initialize_without_a_version_is_invalid(app: ASGIApp, params: Any) -> None:
    """There is nothing to agree on."""
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


@pytest.mark.parametrize("method", ["resources/read", "prompts/list", "server/discover", "x"])
async def test_other_methods_do_not_exist(app: ASGIApp, session_id: str, method: str) -> None:
    """Default deny, told inside of JSON-RPC: a 404 would end the session."""
    reply = await post(app, rpc(method), session_id)
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


async def test_delete_ends_the_session(app: ASGIApp, session_id: str) -> None:
    """Its id is worth nothing afterwards."""
    headers = {"mcp-session-id": session_id}
    assert (await ask(app, "DELETE", "/mcp", headers=headers)).status == 200
    assert (await ask(app, "DELETE", "/mcp", headers=headers)).status == 404


async def in_flight(gate: RecordingGate, count: int = 1) -> None:
    async with asyncio.timeout(2):
        while len(gate.calls) < count:
            await asyncio.sleep(0)


async def test_a_cancellation_stops_the_call_it_names(
    app: ASGIApp, gate: RecordingGate, session_id: str
) -> None:
    """And the waiting request is answered, so that no client hangs."""
    gate.hold = asyncio.Event()
    waiting = asyncio.create_task(post(app, rpc("tools/call", CALL, "a"), session_id))
    await in_flight(gate)
    names: list[Any] = ["b", None, {}, "a"]
    for request_id in names:
        cancel = notification("notifications/cancelled", requestId=request_id)
        assert (await post(app, cancel, session_id)).status == 202
    assert (await waiting).json["error"]["code"] == -32800
    assert gate.cancelled == gate.calls


async def test_a_cancellation_reaches_no_other_session(
    app: ASGIApp, gate: RecordingGate, session_id: str
) -> None:
    """The same id in another session is another request."""
    gate.hold = asyncio.Event()
    waiting = asyncio.create_task(post(app, rpc("tools/call", CALL, 7), session_id))
    await in_flight(gate)
    second = (await post(app, INITIALIZE)).headers["mcp-session-id"]
    await post(app, notification("notifications/cancelled", requestId=7), second)
    gate.hold.set()
    assert "result" in (await waiting).json
    assert gate.cancelled == []


async def test_an_id_in_flight_cannot_be_used_again(
    app: ASGIApp, gate: RecordingGate, session_id: str
) -> None:
    """Two answers with one id could be mistaken for each other; afterwards it is free."""
    gate.hold = asyncio.Event()
    waiting = asyncio.create_task(post(app, rpc("tools/call", CALL, 7), session_id))
    await in_flight(gate)
    reply = await post(app, rpc("ping", request_id=7), session_id)
    assert (reply.status, reply.json["error"]["data"]["code"]) == (400, "id-in-use")
    gate.hold.set()
    await waiting
    assert (await post(app, rpc("ping", request_id=7), session_id)).status == 200


async def open_stream(app: ASGIApp, session_id: str) -> "asyncio.Task[Reply]":
    headers = {"mcp-session-id": session_id, "accept": "text/event-stream"}
    return asyncio.create_task(ask(app, "GET", "/mcp", headers=headers))


async def test_the_stream_closes_on_a_kill(
    app: ASGIApp, gate: RecordingGate, session_id: str
) -> None:
    """It is held open until then, and there is only one."""
    stream = await open_stream(app, session_id)
    await asyncio.sleep(0.01)
    assert not stream.done()
    assert (await (await open_stream(app, session_id))).status == 409
    gate.streams[0].set()
    reply = await stream
    assert (reply.status, reply.headers["content-type"]) == (200, "text/event-stream")
    assert gate.streams == []


async def test_the_stream_closes_with_its_session(app: ASGIApp, session_id: str) -> None:
    """And one may be opened again in a session that lives."""
    stream = await open_stream(app, session_id)
    await asyncio.sleep(0.01)
    await ask(app, "DELETE", "/mcp", headers={"mcp-session-id": session_id})
    async with asyncio.timeout(1):
        assert (await stream).status == 200


async def test_no_stream_opens_under_a_kill(
    app: ASGIApp, gate: RecordingGate, session_id: str
) -> None:
    """It is refused as a call would be."""
    gate.killed = True
    reply = await (await open_stream(app, session_id))
    assert (reply.status, reply.json["error"]["code"]) == (503, -32011)


async def test_a_stream_must_be_accepted(app: ASGIApp, session_id: str) -> None:
    """A client that takes only JSON gets no stream."""
    headers = {"mcp-session-id": session_id, "accept": "application/json"}
    assert (await ask(app, "GET", "/mcp", headers=headers)).status == 406


def test_a_principal_at_its_cap_loses_the_longest_unused_session() -> None:
    """Others are not touched."""
    sessions = McpSessions(SessionLimits(per_principal=2))
    first, second, other = sessions.open(ACME), sessions.open(ACME), sessions.open(OTHER)
    sessions.find(first, ACME)
    sessions.open(ACME)
    with pytest.raises(BadRequest):
        sessions.find(second, ACME)
    assert sessions.find(first, ACME)
    assert sessions.find(other, OTHER)


def test_sessions_in_use_are_not_taken_away() -> None:
    """A principal that uses all of them is refused another."""
    sessions = McpSessions(SessionLimits(per_principal=1))
    sessions.find(sessions.open(ACME), ACME).streaming = True
    with pytest.raises(BadRequest) as refused:
        sessions.open(ACME)
    assert refused.value.http == 429


def test_the_gateway_holds_only_so_many() -> None:
    """Whoever asks."""
    sessions = McpSessions(SessionLimits(total=1))
    sessions.open(ACME)
    with pytest.raises(BadRequest) as refused:
        sessions.open(OTHER)
    assert refused.value.http == 503


def test_unused_sessions_expire() -> None:
    """Those with something under way do not."""
    sessions = McpSessions(SessionLimits(idle_s=-1))
    busy = sessions.open(ACME)
    sessions._sessions[busy].streaming = True
    idle = sessions.open(OTHER)
    with pytest.raises(BadRequest):
        sessions.find(idle, OTHER)
    assert sessions.find(busy, ACME)


def test_ending_an_unknown_session_changes_nothing() -> None:
    """It may have expired a moment ago."""
    sessions = McpSessions(SessionLimits())
    sessions.end("x")
    assert sessions._sessions == {}


def test_only_so_many_requests_wait_in_one_session() -> None:
    """A client cannot pile them up without end."""
    sessions = McpSessions(SessionLimits())
    session = sessions.find(sessions.open(ACME), ACME)
    with session.request(1, cap=1), pytest.raises(BadRequest) as refused, session.request(2, cap=1):
        pass
    assert (refused.value.http, session.requests) == (429, {})
