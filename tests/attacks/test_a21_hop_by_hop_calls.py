"""A21 at `/v1/calls` and `/mcp`: a Connection header that names our own headers."""

import pytest

from tests.harness.standing import DOORS, LENT, Standing

pytestmark = pytest.mark.asyncio(loop_scope="module")

LISTS = [
    b"Connection: authorization, x-detent-session, content-type",
    b"Connection: x-api-key, host, content-length, user-agent",
    b"Connection: mcp-session-id, mcp-protocol-version, mcp-method, mcp-name",
    b"Connection: keep-alive, idempotency-key, accept",
]


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("fields", LISTS)
async def test_no_header_can_be_taken_away(standing: Standing, door: str, fields: bytes) -> None:
    """The call is whose it is, and the tool gets the credential it was lent."""
    heard = await standing.call(door, "keyed", fields)
    assert heard.status == 200
    (received,) = standing.recorder.received
    assert received.headers["X-Api-Key"] == LENT
    assert {"connection", "te", "keep-alive"}.isdisjoint(map(str.lower, received.headers))


@pytest.mark.parametrize("door", DOORS)
async def test_a_token_that_is_listed_is_still_asked_for(standing: Standing, door: str) -> None:
    """And one that is not sent is missed."""
    field = b"Connection: authorization"
    heard = await standing.call(door, "write", field, without=[b"authorization"])
    assert (heard.status, standing.recorder.received) == (401, [])
