"""A12: messages that are not one request with one id: batches, odd ids, unasked responses."""

import asyncio
import json
from typing import Any

import pytest

from tests.harness.agents_port import AgentsPort, code_of
from tests.harness.doors import META, stateless_headers
from tests.harness.gateway import Gateway
from tests.harness.mcp_raw import session_of
from tests.harness.recorder import Recorder

CALL: dict[str, Any] = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "tools/call",
    "params": {"name": "rec__write", "arguments": {}, "_meta": META},
}
WITHOUT_ID = {key: value for key, value in CALL.items() if key != "id"}
RESPONSE = {"jsonrpc": "2.0", "id": 1, "result": {}}
FAILURE = {"jsonrpc": "2.0", "id": 1, "error": {"code": 1, "message": "x"}}
SHAPES: list[tuple[Any, str]] = [
    ([CALL], "batch"),
    ([CALL, CALL], "batch"),
    ([], "batch"),
    (CALL | {"id": None}, "invalid-id"),
    (CALL | {"id": 1.0}, "invalid-id"),
    (CALL | {"id": 1.5}, "invalid-id"),
    (CALL | {"id": False}, "invalid-id"),
    (CALL | {"id": [1]}, "invalid-id"),
    (WITHOUT_ID, "missing-id"),
    (RESPONSE, "unexpected-response"),
    (FAILURE, "unexpected-response"),
    (RESPONSE | {"id": "ask_AAAAAAAAAAAAAAAAAAAA"}, "unexpected-response"),
    (FAILURE | {"id": "ask_AAAAAAAAAAAAAAAAAAAA"}, "unexpected-response"),
    (RESPONSE | {"id": "a", "error": FAILURE["error"]}, "unexpected-response"),
    (RESPONSE | {"id": None}, "unexpected-response"),
    (CALL | {"result": {}}, "unknown-member"),
    (CALL | {"jsonrpc": "1.0"}, "not-a-message"),
    ("tools/call", "not-a-message"),
]


async def headers_of(port: AgentsPort, era: str) -> dict[str, str]:
    if era == "2026":
        return stateless_headers("tools/call", "rec__write")
    return await port.initialize()


@pytest.mark.parametrize("era", ["2025", "2026"])
@pytest.mark.parametrize(("message", "code"), SHAPES)
async def test_such_a_message_is_refused(
    agents_port: AgentsPort, era: str, message: Any, code: str
) -> None:
    """400 in both eras, and the pipeline receives nothing."""
    body = json.dumps(message).encode()
    headers = await headers_of(agents_port, era)
    status, answer = await agents_port.ask("POST", "/mcp", body, headers)
    assert (status, code_of(answer), agents_port.gate.calls) == (400, code, [])


async def test_the_tool_gets_nothing_of_them(gateway: Gateway, recorder: Recorder) -> None:
    """In the real process as well, in either era: 400 and 0 bytes."""
    session = await session_of(gateway, "/mcp")
    for headers in (session, stateless_headers("tools/call", "rec__write")):
        for message, code in SHAPES:
            status, answer = await gateway.ask("POST", "/mcp", message, headers=headers)
            assert (status, code_of(answer)) == (400, code), message
    assert recorder.received == []


async def test_an_id_in_flight_is_not_given_to_another_request(agents_port: AgentsPort) -> None:
    """The first call goes on and gets its own answer; the second never reaches the pipeline."""
    agents_port.gate.hold = asyncio.Event()
    headers = await agents_port.initialize("/mcp/rec")
    params = {"name": "write", "arguments": {"n": 1}}
    body = json.dumps(CALL | {"params": params}).encode()
    first = asyncio.create_task(agents_port.ask("POST", "/mcp/rec", body, headers))
    async with asyncio.timeout(5):
        while not agents_port.gate.calls:
            await asyncio.sleep(0.005)
    status, answer = await agents_port.ask("POST", "/mcp/rec", body, headers)
    assert (status, code_of(answer), len(agents_port.gate.calls)) == (400, "id-in-use", 1)
    agents_port.gate.hold.set()
    assert (await first)[1]["result"]["content"][0]["text"] == '{"n":1}'
