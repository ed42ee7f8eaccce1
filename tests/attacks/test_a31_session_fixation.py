"""A31: an attacker sets the id of a session before its victim opens it."""

import json
from typing import Any

from tests.harness.gateway import Gateway
from tests.harness.mcp import INITIALIZE
from tests.harness.mcp_raw import request, session_of
from tests.harness.recorder import Recorder

CHOSEN = "A" * 43
CALL = request("tools/call", {"name": "write", "arguments": {}})
WITH_ID: list[dict[str, Any]] = [
    {"sessionId": CHOSEN},
    {"_meta": {"sessionId": CHOSEN, "io.detent/session_id": CHOSEN}},
    {"clientInfo": {"name": CHOSEN, "version": CHOSEN, "sessionId": CHOSEN}},
]


async def test_a31_an_id_in_a_header_is_not_taken(gateway: Gateway, recorder: Recorder) -> None:
    """The server issues its own, and the chosen one is nobody's: not its setter's either."""
    issued = await session_of(gateway, headers={"Mcp-Session-Id": CHOSEN})
    assert issued["Mcp-Session-Id"] != CHOSEN
    for token in (gateway.world.agent_token, gateway.world.other_token):
        headers = {"Mcp-Session-Id": CHOSEN}
        status, _ = await gateway.ask("POST", "/mcp/rec", CALL, headers=headers, token=token)
        assert status == 404
    assert recorder.received == []


async def test_a31_nor_is_one_in_the_body(gateway: Gateway) -> None:
    """Wherever it stands."""
    token = {"Authorization": f"Bearer {gateway.world.agent_token}"}
    for params in WITH_ID:
        body = INITIALIZE | {"params": INITIALIZE["params"] | params}
        async with gateway.http.post(gateway.agents + "/mcp", json=body, headers=token) as answer:
            issued = answer.headers["Mcp-Session-Id"]
            assert CHOSEN not in issued + json.dumps(await answer.json())


async def test_a31_another_ones_session_is_not_taken_over(gateway: Gateway) -> None:
    """A handshake that names it opens a new one, and leaves the old one alone."""
    theirs = await session_of(gateway)
    other = gateway.world.other_token
    mine = await session_of(gateway, token=other, headers=theirs)
    assert mine["Mcp-Session-Id"] != theirs["Mcp-Session-Id"]
    ping = request("ping", {})
    assert (await gateway.ask("POST", "/mcp/rec", ping, headers=theirs))[0] == 200
    assert (await gateway.ask("POST", "/mcp/rec", ping, headers=theirs, token=other))[0] == 404


async def test_a31_a_session_of_the_gateway_cannot_be_named(gateway: Gateway) -> None:
    """Nor its token."""
    for member in ("id", "session_id", "token"):
        status, _ = await gateway.ask("POST", "/v1/sessions", {member: CHOSEN})
        assert status == 400
