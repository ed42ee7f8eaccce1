"""A23: a header sent twice, for a check that reads the first and a use that reads the last."""

import pytest

from proxy.model.token import TokenKind, new_token
from tests.harness.raw import CALL
from tests.harness.standing import PORTS, Standing

pytestmark = pytest.mark.asyncio(loop_scope="module")

OTHER = new_token(TokenKind.AGENT).encode()
TWICE = [
    (b"Authorization: Bearer " + OTHER,),
    (b"authorization: Bearer " + OTHER,),
    (b"Authorization:",),
    (b"Idempotency-Key: a", b"Idempotency-Key: b"),
    (b"Idempotency-Key: a", b"idempotency-key: a"),
    (b"X-Detent-Mode: dry_run", b"X-Detent-Mode: read_write"),
    (b"X-Forwarded-Proto: https", b"X-Forwarded-Proto: http"),
    (b"X-Anything: a", b"x-anything: a"),
    (b"Mcp-Method: tools/call", b"Mcp-Method: tools/list"),
    (b"Mcp-Session-Id: a", b"Mcp-Session-Id: b"),
    (b"MCP-Protocol-Version: 2025-11-25", b"MCP-Protocol-Version: 2026-07-28"),
    (b"Content-Type: text/plain",),
    (b"Content-Encoding: identity", b"Content-Encoding: gzip"),
    (b"Cookie: a=1", b"Cookie: a=2"),
    (b"Tenant: a", b"Tenant: b"),
    (b"Origin: null", b"Origin: https://evil.test"),
    (b"Expect: 100-continue", b"Expect: 100-continue"),
]


@pytest.mark.parametrize("port", PORTS)
@pytest.mark.parametrize("fields", TWICE, ids=lambda fields: fields[-1].decode()[:22])
async def test_a_header_sent_twice_is_refused(
    standing: Standing, port: str, fields: tuple[bytes, ...]
) -> None:
    """400 whatever it says and whoever reads it; the connection is closed."""
    heard = await standing.attack(port, *fields)
    assert (heard.statuses[-1], heard.code, heard.closed) == (400, "duplicate-header", True)
    assert await standing.nothing_happened()


@pytest.mark.parametrize("path", ["/mcp", "/mcp/rec", "/v1/sessions", "/healthz"])
async def test_on_every_path(standing: Standing, path: str) -> None:
    """Before any door is asked."""
    line = b"POST %b HTTP/1.1" % path.encode()
    if path == "/healthz":
        line = line.replace(b"POST", b"GET")
    heard = await standing.attack("agents", b"X-A: 1", b"X-A: 2", line=line, body=CALL)
    assert (heard.status, heard.code) == (400, "duplicate-header")
    assert await standing.nothing_happened()


async def test_a_list_may_come_in_parts(standing: Standing) -> None:
    """What proxies add to, and what nobody decides by, passes."""
    fields = (
        b"Accept: text/html", b"Accept: application/json",
        b"X-Forwarded-For: 10.0.0.1", b"X-Forwarded-For: 10.0.0.2",
        b"Via: 1.1 a", b"Via: 1.1 b",
        b"Connection: close",
    )  # fmt: skip
    heard = await standing.attack("agents", *fields)
    assert heard.status == 200
    assert len(standing.recorder.received) == 1
