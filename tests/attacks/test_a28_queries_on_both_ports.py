"""A28 on the real process: a credential in the query, where logs and histories keep it."""

import pytest

from tests.harness.standing import PORTS, Standing

pytestmark = pytest.mark.asyncio(loop_scope="module")

QUERIES = [
    b"token=%b",
    b"access_token=%b",
    b"ACCESS_TOKEN=%b",
    b"api_key=%b",
    b"authorization=Bearer%%20%b",
    b"%%74oken=%b",
    b"a=1&key=%b",
    b"a=1;jwt=%b",
    b"next=/x%%3Ft%%3D%b",
    b"mcp_token=%b",
    b"x=%b",
    b"%b",
]
LINES = {
    "agents": [
        b"POST /v1/calls", b"POST /mcp", b"GET /mcp", b"POST /v1/sessions", b"GET /healthz",
        b"POST /http/rec/write", b"POST /hooks/claude-code",
    ],
    "operators": [b"POST /killswitch", b"GET /metrics", b"GET /v1/decisions"],
}  # fmt: skip


@pytest.mark.parametrize("port", PORTS)
@pytest.mark.parametrize("query", QUERIES, ids=bytes.decode)
@pytest.mark.parametrize("with_header", [True, False])
async def test_a_token_in_the_query_is_refused_and_never_written_down(
    standing: Standing, port: str, query: bytes, with_header: bool
) -> None:
    """400 with a valid token beside it, 400 without; neither log nor answer has it."""
    world = standing.gateway.world
    token = world.agent_token if port == "agents" else world.operator_token
    without = [] if with_header else [b"authorization"]
    for line in LINES[port]:
        target = line + b"?" + query % token.encode()
        heard = await standing.attack(port, line=target + b" HTTP/1.1", without=without)
        assert (heard.status, heard.code, heard.closed) == (400, "token-in-query", True)
        assert token.encode() not in heard.raw
    assert await standing.nothing_happened()
    assert token not in standing.gateway.text
