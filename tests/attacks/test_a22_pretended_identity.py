"""A22: headers by which a client says who it is, where it comes from or what it really asks."""

import pytest

from tests.harness.rest import SENT, Rest

pytestmark = pytest.mark.asyncio(loop_scope="module")

PRETENDED = [
    b"X_Detent_Sub: other",
    b"X-Detent-Sub: other",
    b"X-Detent-Session: ses_other",
    b"X-Forwarded-For: 10.0.0.1",
    b"X-Forwarded-User: other",
    b"X-Forwarded-Host: evil.test",
    b"X-Forwarded-Prefix: /admin",
    b"X-Forwarded-Client-Cert: Subject=other",
    b"Forwarded: for=10.0.0.1;host=evil.test",
    b"X-Real-IP: 127.0.0.1",
    b"X-Upstream-Authorization: Bearer stolen",
    b"X-Remote-User: other",
    b"Remote-User: other",
    b"Ssl-Client-Verify: SUCCESS",
    b"mcp-init-host: evil.test",
    b"X-Original-URL: /admin",
    b"X-Rewrite-URL: /admin",
    b"X-HTTP-Method-Override: DELETE",
    b"X-Method-Override: DELETE",
    b"If_Match: forged",
    b"X-Api-Key: stolen",
]


async def test_none_of_them_goes_out_and_none_is_read(rest: Rest) -> None:
    """All at once: the call is the one its line says, the agent the one of the token."""
    heard = await rest.put(*PRETENDED)
    assert heard.status == 200
    assert (rest.received.method, rest.received.path) == ("PUT", "/users/bob/notes/7")
    assert rest.names == SENT
    step = heard.raw.partition(b"detent-step-id: ")[2].partition(b"\r\n")[0].decode()
    _, listed = await rest.gateway.operate("GET", "/v1/decisions")
    (record,) = (one for one in listed["decisions"] if one["step_id"] == step)
    assert (record["tenant"], record["agent"]) == ("acme", "tester")


@pytest.mark.parametrize("field", PRETENDED, ids=lambda field: field.partition(b":")[0].decode())
async def test_none_of_them_stands_for_a_token(rest: Rest, field: bytes) -> None:
    """Without one nobody is let in."""
    heard = await rest.put(field, without=[b"authorization"])
    assert (heard.status, rest.recorder.received) == (401, [])


@pytest.mark.parametrize("field", [b"X-Original-URL: /http/rec/admin", b"X-Rewrite-URL: /admin"])
async def test_none_of_them_changes_the_path(rest: Rest, field: bytes) -> None:
    """What the policy denies stays denied, and what it allows stays what it was."""
    assert (await rest.ask(b"/admin", field)).status == 403
    assert rest.recorder.received == []
    assert (await rest.ask(b"/users/bob", field)).status == 200
    assert rest.received.path == "/users/bob"
