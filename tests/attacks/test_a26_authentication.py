"""A26: no token, garbage, another plane's token, a JWT: 401, and nobody is anybody by default."""

import pytest

from proxy.model.token import TokenKind, new_token
from tests.harness.gateway import Gateway
from tests.harness.recorder import Recorder

JWT = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhY21lL3Rlc3RlciJ9."
CALL = {"server": "rec", "tool": "write", "arguments": {"text": "x"}}
FORGED = [
    "",
    "Bearer",
    "Bearer ",
    "Bearer null",
    f"Bearer {JWT}",
    f"Bearer {new_token(TokenKind.AGENT)}",
    f"Bearer {new_token(TokenKind.SESSION)}",
    "Basic dGVzdGVyOg==",
    "Bearer dta_" + "A" * 43 + " extra",
]


@pytest.mark.parametrize("authorization", FORGED)
async def test_a26_a_forged_token_is_nobody(
    gateway: Gateway, recorder: Recorder, authorization: str
) -> None:
    """401 with the cure, 0 bytes at the tool."""
    headers = {"Authorization": authorization}
    status, problem = await gateway.ask("POST", "/v1/calls", CALL, headers=headers)
    assert (status, problem["code"]) == (401, "not-authenticated")
    assert recorder.received == []


async def test_a26_an_operators_token_is_no_agent(gateway: Gateway, recorder: Recorder) -> None:
    """Each plane knows its own tokens only."""
    status, _ = await gateway.call("write", {"text": "x"}, token=gateway.world.operator_token)
    assert status == 401
    assert recorder.received == []


async def test_a26_no_header_at_all_is_nobody(gateway: Gateway, recorder: Recorder) -> None:
    """MCP and plain calls alike."""
    for path in ("/v1/calls", "/mcp", "/v1/sessions"):
        status, _ = await gateway.ask("POST", path, CALL, headers={"Authorization": ""})
        assert status in {400, 401}
    assert recorder.received == []
