"""A22 at `/v1/calls` and `/mcp`: headers by which a client says who it is and what it asks."""

import pytest

from tests.harness.standing import DOORS, Standing

pytestmark = pytest.mark.asyncio(loop_scope="module")

SENT = {"host", "user-agent", "accept", "accept-encoding", "content-type", "content-length"}
PRETENDED = [
    b"X_Detent_Sub: other",
    b"X-Detent-Sub: other",
    b"X-Detent-Tenant: globex",
    b"X-Detent-Session: ses_other",
    b"X-Forwarded-For: 127.0.0.1",
    b"X-Forwarded-User: other",
    b"X-Forwarded-Host: evil.test",
    b"X-Forwarded-Client-Cert: Subject=other",
    b"Forwarded: for=127.0.0.1;host=evil.test",
    b"X-Real-IP: 127.0.0.1",
    b"X-Upstream-Authorization: Bearer stolen",
    b"X-Remote-User: other",
    b"Remote_User: other",
    b"Ssl-Client-Verify: SUCCESS",
    b"mcp-init-host: evil.test",
    b"X-Original-URL: /v1/sessions",
    b"X-HTTP-Method-Override: DELETE",
    b"Mcp_Session_Id: forged",
    b"X-Api-Key: stolen",
    b"Cookie: token=stolen",
]


@pytest.mark.parametrize("door", DOORS)
async def test_none_of_them_goes_out_and_none_is_read(standing: Standing, door: str) -> None:
    """All at once: the tool gets our headers alone, the audit names the agent of the token."""
    heard = await standing.call(door, "write", *PRETENDED)
    assert heard.status == 200
    (received,) = standing.recorder.received
    assert {name.lower() for name in received.headers} <= SENT | {"idempotency-key"}
    assert not any(word in repr(received) for word in ("globex", "stolen", "evil.test", "forged"))
    _, listed = await standing.gateway.operate("GET", "/v1/decisions?limit=1")
    (record,) = listed["decisions"]
    assert (record["tenant"], record["agent"]) == ("acme", "tester")


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("field", PRETENDED, ids=lambda field: field.partition(b":")[0].decode())
async def test_none_of_them_stands_for_a_token(standing: Standing, door: str, field: bytes) -> None:
    """Without one nobody is let in, and the tool receives 0 bytes."""
    heard = await standing.call(door, "write", field, without=[b"authorization"])
    assert (heard.status, standing.recorder.received) == (401, [])
