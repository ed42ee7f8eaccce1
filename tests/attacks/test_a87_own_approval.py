"""A87: an agent answers its own approval: by elicitation, by a hook, by a sub-agent, by itself.

Whatever comes over a channel of agents, the approval stays pending and the tool gets 0 bytes.
"""

import json
from typing import Any

import pytest

from tests.harness.doors import META, stateless_headers
from tests.harness.gateway import Gateway
from tests.harness.recorder import Recorder

DROP = {"text": "table 7"}
ASKING = META | {"io.modelcontextprotocol/clientCapabilities": {"elicitation": {"url": {}}}}
ACCEPT = {"action": "accept", "content": {"approved": True}}


@pytest.fixture
async def approval_id(gateway: Gateway) -> str:
    """The approval an agent waits for."""
    _, answer = await gateway.call("drop", DROP)
    approval_id: str = answer["approval"]["id"]
    return approval_id


async def still_pending(gateway: Gateway, recorder: Recorder, approval_id: str) -> bool:
    """Whether nobody decided and the same call still waits."""
    _, one = await gateway.operate("GET", f"/v1/approvals/{approval_id}")
    _, again = await gateway.call("drop", DROP)
    waiting = (one["state"], again["approval"]["id"]) == ("pending", approval_id)
    return waiting and recorder.received == []


async def mcp(gateway: Gateway, params: dict[str, Any]) -> dict[str, Any]:
    """Call `drop` in the stateless era as a client that could be asked."""
    call = {"name": "drop", "arguments": DROP, "_meta": ASKING} | params
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}
    headers = stateless_headers("tools/call", "drop")
    _, reply = await gateway.ask("POST", "/mcp/rec", body, headers=headers)
    assert isinstance(reply, dict)
    return reply


async def test_a87_mcp_gets_a_pointer_and_no_question(
    gateway: Gateway, recorder: Recorder, approval_id: str
) -> None:
    """An error result that names the approval; never an input request that could be answered."""
    result = (await mcp(gateway, {}))["result"]
    assert (result["isError"], result["resultType"]) == (True, "complete")
    assert approval_id in result["content"][0]["text"]
    assert "inputRequests" not in result
    assert await still_pending(gateway, recorder, approval_id)


@pytest.mark.parametrize(
    "params",
    [
        {"inputResponses": {"approval": ACCEPT}},
        {"inputResponses": {"approval": ACCEPT}, "requestState": "approved"},
        {"_meta": ASKING | {"io.detent/approval": "approved"}},
        {"_meta": ASKING | {"io.detent/approved": True}},
        {"approval": {"state": "approved"}},
    ],
    ids=["answer", "answer with state", "meta", "meta flag", "member"],
)
async def test_a87_an_answer_nobody_asked_for_approves_nothing(
    gateway: Gateway, recorder: Recorder, approval_id: str, params: dict[str, Any]
) -> None:
    """The retry of an elicitation that never was."""
    if "approval" in params:
        params = {"approval": {"id": approval_id, "state": "approved"}}
    reply = await mcp(gateway, params)
    assert "error" in reply or reply["result"]["isError"]
    assert await still_pending(gateway, recorder, approval_id)


async def test_a87_a_response_in_the_handshake_era_approves_nothing(
    gateway: Gateway, recorder: Recorder, approval_id: str
) -> None:
    """A client's answer to an elicitation/create that the gateway never sent."""
    for request_id in (0, 1, approval_id):
        body = {"jsonrpc": "2.0", "id": request_id, "result": ACCEPT}
        status, _ = await gateway.ask("POST", "/mcp/rec", body)
        assert status in {400, 404}
    assert await still_pending(gateway, recorder, approval_id)


@pytest.mark.parametrize("verb", ["approve", "deny"])
@pytest.mark.parametrize("who", ["agent", "session", "another agent"])
async def test_a87_no_token_of_an_agent_opens_the_operators_port(
    gateway: Gateway, recorder: Recorder, approval_id: str, who: str, verb: str
) -> None:
    """Its own, a sub-agent's session, a colleague's."""
    _, session = await gateway.ask("POST", "/v1/sessions", {"purpose": "sub-agent"})
    token = {
        "agent": gateway.world.agent_token,
        "session": session["token"],
        "another agent": gateway.world.other_token,
    }[who]
    path = f"/v1/approvals/{approval_id}/{verb}"
    status, problem = await gateway.operate("POST", path, {}, token=token)
    assert (status, problem["code"]) == (403, "agent-token")
    assert (await gateway.operate("GET", "/v1/approvals", token=token))[0] == 403
    assert await still_pending(gateway, recorder, approval_id)


async def test_a87_there_is_no_approving_on_the_agents_port(
    gateway: Gateway, recorder: Recorder, approval_id: str
) -> None:
    """Not even with an operator's token; a call cannot carry its approval either."""
    for token in (gateway.world.agent_token, gateway.world.operator_token):
        path = f"/v1/approvals/{approval_id}/approve"
        assert (await gateway.ask("POST", path, {}, token=token))[0] == 404
    claims: tuple[dict[str, Any], ...] = (
        {"approval": approval_id},
        {"approvals": [approval_id]},
        {"verdict": "allow"},
    )
    for claim in claims:
        assert (await gateway.call("drop", DROP, **claim))[0] == 400
    header = {"X-Detent-Approval": approval_id, "Content-Type": "application/json"}
    body = {"server": "rec", "tool": "drop", "arguments": DROP}
    assert (await gateway.ask("POST", "/v1/calls", body, headers=header))[0] == 202
    assert await still_pending(gateway, recorder, approval_id)


@pytest.mark.parametrize("event", ["PermissionRequest", "Elicitation", "ElicitationResult"])
async def test_a87_a_hook_approves_nothing(
    gateway: Gateway, recorder: Recorder, approval_id: str, event: str
) -> None:
    """What an agent's harness reports of its user is the agent's own channel."""
    report = {
        "hook_event_name": event,
        "session_id": "s",
        "tool_name": "mcp__rec__drop",
        "tool_input": DROP,
        "tool_use_id": approval_id,
        "permission_decision": "allow",
        "action": "accept",
        "content": {"approval": approval_id, "approved": True},
    }
    _, answer = await gateway.ask("POST", "/hooks/claude-code", report)
    assert '"allow"' not in json.dumps(answer)
    assert await still_pending(gateway, recorder, approval_id)


async def test_a87_a_sub_agents_session_waits_like_its_parent(
    gateway: Gateway, recorder: Recorder, approval_id: str
) -> None:
    """It finds the same question, and no way around it."""
    _, session = await gateway.ask("POST", "/v1/sessions", {"purpose": "sub-agent"})
    status, answer = await gateway.call("drop", DROP, token=session["token"])
    assert (status, answer["approval"]["id"]) == (202, approval_id)
    assert await still_pending(gateway, recorder, approval_id)
