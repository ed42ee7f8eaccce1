"""A17: `_meta` names one protocol version and the header another."""

from tests.harness.gateway import Gateway
from tests.harness.mcp_raw import META, STATEFUL, STATELESS, code_of, request, session_of
from tests.harness.recorder import Recorder

META_VERSION = "io.modelcontextprotocol/protocolVersion"


PAIRS: list[tuple[str | None, object]] = [
    (STATELESS, STATEFUL),
    (STATELESS, "2031-01-01"),
    (STATELESS, None),
    (STATELESS, ["2026-07-28"]),
    (STATEFUL, STATELESS),
    ("2025-06-18", STATEFUL),
    (None, STATELESS),
    (None, STATEFUL),
    ("2031-01-01", STATELESS),
]


async def test_a17_such_a_request_is_refused(gateway: Gateway, recorder: Recorder) -> None:
    """400 and -32020, inside and outside of a session; the tool gets 0 bytes."""
    session = await session_of(gateway)
    session.pop("MCP-Protocol-Version")
    routing = {"Mcp-Method": "tools/call", "Mcp-Name": "write"}
    for header, named in PAIRS:
        meta = META | {META_VERSION: named}
        body = request("tools/call", {"name": "write", "arguments": {}, "_meta": meta})
        version = {} if header is None else {"MCP-Protocol-Version": header}
        for headers in (version | routing, version | routing | session):
            status, answer = await gateway.ask("POST", "/mcp/rec", body, headers=headers)
            assert (status, code_of(answer)) == (400, -32020), (header, named)
    assert recorder.received == []
