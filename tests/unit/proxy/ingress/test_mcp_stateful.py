import asyncio
import json
from typing import Any

import pytest
from starlette.types import ASGIApp

from proxy.model.call import Door
from proxy.model.ledger import Outcome
from proxy.model.mcp import Era
from proxy.model.step import Answer
from proxy.upstream.conversation import Conversation
from tests.harness.asgi import until
from tests.harness.doors import OTHER_TOKEN, STATEFUL, RecordingGate, ask, refused, rpc
from tests.harness.mcp_sessions import (
    CALL,
    CAPABLE,
    INITIALIZE,
    initialized,
    notification,
    open_post,
    post,
)


@pytest.fixture
async def session_id(app: ASGIApp) -> str:
    return await initialized(app)


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


async def test_headers_of_the_later_era_must_agree(
    app: ASGIApp, gate: RecordingGate, session_id: str
) -> None:
    """Where they come."""
    body = rpc("tools/call", CALL)
    reply = await post(app, body, session_id, **{"mcp-name": "rec__read"})
    assert (reply.status, reply.json["error"]["code"], gate.calls) == (400, -32020, [])


async def test_an_error_of_a_server_is_passed_on(
    app: ASGIApp, gate: RecordingGate, session_id: str
) -> None:
    """As it came, with the status of every answer."""
    raw = b'{"code":-32002,"message":"no","data":{"uri":"f:x"}}'
    gate.answer = lambda _: Answer("s", "allow", (), Outcome.DONE, result=raw, is_rpc_error=True)
    reply = await post(app, rpc("resources/read", {"uri": "rec+f:x"}), session_id)
    assert (reply.status, reply.json["error"]) == (200, json.loads(raw))
