"""A62 at `/v1/calls` and `/mcp`: the agent's own token, cookies and headers stay with us."""

import pytest

from tests.harness.standing import DOORS, LENT, Standing

pytestmark = pytest.mark.asyncio(loop_scope="module")

OWN = [
    b"Cookie: session=of-the-agent",
    b"Proxy-Authorization: Basic b2YtdGhlLWFnZW50",
    b"User-Agent: of-the-agent/1.0",
    b"Referer: https://of-the-agent.test/",
    b"X-Anything: of-the-agent",
    b"Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
]


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("tool", ["write", "read", "keyed"])
async def test_nothing_of_the_request_goes_out(standing: Standing, door: str, tool: str) -> None:
    """Neither where no credential is lent nor where one is: the tool knows its own and no other."""
    heard = await standing.call(door, tool, *OWN)
    assert heard.status == 200
    (received,) = standing.recorder.received
    sent = repr(received)
    assert standing.gateway.world.agent_token not in sent
    assert "of-the-agent" not in sent
    assert "b2YtdGhl" not in sent
    assert "Authorization" not in received.headers
    assert (received.headers.get("X-Api-Key") == LENT) is (tool == "keyed")


@pytest.mark.parametrize("door", DOORS)
async def test_what_a_tool_sets_stays_with_it(standing: Standing, door: str) -> None:
    """No header of its answer reaches the agent, and no cookie comes back to it."""
    for _ in range(2):
        heard = await standing.call(door, "keyed")
        assert heard.status == 200
        assert b"Python" not in heard.raw.partition(b"\r\n\r\n")[0]
        assert LENT.encode() not in heard.raw
    assert all("Cookie" not in received.headers for received in standing.recorder.received)
