"""A30: the session id of another agent, of another tenant, a forged one, or one after a kill."""

import secrets
from typing import Any

from tests.harness.gateway import Gateway
from tests.harness.mcp_raw import code_of, request, session_of
from tests.harness.recorder import Recorder

CALL = request("tools/call", {"name": "write", "arguments": {"text": "mine"}})
ANSWER = {"jsonrpc": "2.0", "id": "ask_1", "result": {}}
CANCEL = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}

FORGED = ["x", "x" * 43, "../../mcp", "1' OR '1'='1", "0", "null"]


async def use(gateway: Gateway, session: dict[str, str], token: str = "") -> list[tuple[int, Any]]:
    """Use a session in every way there is."""
    stream = {"Accept": "text/event-stream"}
    return [
        await gateway.ask("POST", "/mcp/rec", CALL, headers=session, token=token),
        await gateway.ask("POST", "/mcp/rec", ANSWER, headers=session, token=token),
        await gateway.ask("POST", "/mcp/rec", CANCEL, headers=session, token=token),
        await gateway.ask("GET", "/mcp/rec", headers=session | stream, token=token),
        await gateway.ask("DELETE", "/mcp/rec", headers=session, token=token),
    ]


async def test_a30_a_session_of_another_tenant_does_not_exist(
    gateway: Gateway, recorder: Recorder
) -> None:
    """On every request, whatever it is; its owner goes on as if nothing had happened."""
    session = await session_of(gateway)
    replies = await use(gateway, session, gateway.world.other_token)
    assert {status for status, _ in replies} == {404}
    assert recorder.received == []
    status, answer = await gateway.ask("POST", "/mcp/rec", CALL, headers=session)
    assert (status, answer["result"]["isError"]) == (200, False)


async def test_a30_a_forged_session_does_not_exist(gateway: Gateway, recorder: Recorder) -> None:
    """Nor does one that was never issued, nor one that ended."""
    session = await session_of(gateway)
    assert (await gateway.ask("DELETE", "/mcp/rec", headers=session))[0] == 200
    ended = session["Mcp-Session-Id"]
    for forged in (*FORGED, secrets.token_urlsafe(32), ended):
        replies = await use(gateway, {"Mcp-Session-Id": forged})
        assert {status for status, _ in replies} == {404}, forged
    assert recorder.received == []


async def test_a30_a_session_is_of_one_endpoint(gateway: Gateway, recorder: Recorder) -> None:
    """It reaches no other server by another path."""
    session = await session_of(gateway, "/mcp/rec")
    for path in ("/mcp", "/mcp/other"):
        assert (await gateway.ask("POST", path, CALL, headers=session))[0] == 404
    assert recorder.received == []


async def test_a30_a_session_after_a_kill_calls_nothing(
    gateway: Gateway, recorder: Recorder
) -> None:
    """It is still the agent's own, and that agent is halted: calls and streams are refused."""
    session = await session_of(gateway)
    scope = {"scope": {"kind": "agent", "id": "acme/tester"}}
    status, _ = await gateway.operate("POST", "/killswitch", scope)
    assert status in (200, 202)
    status, answer = await gateway.ask("POST", "/mcp/rec", CALL, headers=session)
    assert (code_of(answer), recorder.received) == (-32011, [])
    stream = session | {"Accept": "text/event-stream"}
    assert (await gateway.ask("GET", "/mcp/rec", headers=stream))[0] == 503


async def test_a30_the_gateways_own_sessions_are_bound_as_well(
    gateway: Gateway, recorder: Recorder
) -> None:
    """No agent ends another's, and a session's id is no token."""
    _, opened = await gateway.ask("POST", "/v1/sessions", {})
    other = gateway.world.other_token
    path = f"/v1/sessions/{opened['id']}"
    assert (await gateway.ask("DELETE", path, token=other))[0] in (403, 404)
    assert (await gateway.call("write", token=opened["id"]))[0] == 401
    assert recorder.received == []
    assert (await gateway.call("write", token=opened["token"]))[0] == 200
