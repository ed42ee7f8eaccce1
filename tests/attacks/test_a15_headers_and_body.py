"""A15: headers an intermediary acts on say something else than the body the tool is called with."""

import base64
from typing import Any

import pytest

from tests.harness.gateway import Gateway
from tests.harness.mcp_raw import META, code_of, request, session_of
from tests.harness.recorder import Recorder
from tests.harness.world import World, http_tool

SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "text": {"type": "string", "x-mcp-header": "Text"},
        "n": {"type": "integer", "x-mcp-header": "Count"},
        "data": {},
    },
}
RIGHT = {
    "MCP-Protocol-Version": "2026-07-28",
    "Mcp-Method": "tools/call",
    "Mcp-Name": "marked",
    "Mcp-Param-Text": "eu",
    "Mcp-Param-Count": "7",
}
CALL = {"name": "marked", "arguments": {"text": "eu", "n": 7}, "_meta": META}


def wrapped(text: str) -> str:
    return f"=?base64?{base64.b64encode(text.encode()).decode()}?="


# What is sent instead of a right header; None leaves it out, a name of its own adds one.
WRONG: list[dict[str, str | None]] = [
    {"Mcp-Method": None},
    {"Mcp-Method": "tools/list"},
    {"Mcp-Method": "TOOLS/CALL"},
    {"Mcp-Name": None},
    {"Mcp-Name": "read"},
    {"Mcp-Name": "Marked"},
    {"Mcp-Name": wrapped("read")},
    {"Mcp-Name": "=?base64?bWFya2Vk!?="},
    {"Mcp-Param-Text": None},
    {"Mcp-Param-Text": "us"},
    {"Mcp-Param-Text": wrapped("us")},
    {"Mcp-Param-Text": "=?base64?ZXU?="},
    {"Mcp-Param-Text": "=?BASE64?ZXU=?="},
    {"Mcp-Param-Count": None},
    {"Mcp-Param-Count": "8"},
    {"Mcp-Param-Other": "x"},
    {"Mcp-Param-Data": "x"},
]


@pytest.fixture
def world(world: World) -> World:
    """With a tool whose schema marks two arguments."""
    body = ["text", "n", "data"]
    world.tools["rec"]["marked"] = http_tool(
        "POST", "/echo", "write", body=body, input_schema=SCHEMA
    )
    return world


async def post(gateway: Gateway, headers: Any, params: Any = CALL) -> tuple[int, Any]:
    body = request("tools/call", params)
    return await gateway.ask("POST", "/mcp/rec", body, headers=headers)


async def test_a15_headers_that_mislead_never_reach_the_tool(
    gateway: Gateway, recorder: Recorder
) -> None:
    """400 and -32020 each; what agrees goes through, in either spelling."""
    for wrong in WRONG:
        headers = {name: value for name, value in (RIGHT | wrong).items() if value is not None}
        status, answer = await post(gateway, headers)
        assert (status, code_of(answer)) == (400, -32020), wrong
    orphaned = CALL | {"arguments": {"n": 7}}
    status, answer = await post(gateway, RIGHT, orphaned)
    assert (status, code_of(answer), recorder.received) == (400, -32020, [])
    spelled = {"Mcp-Name": wrapped("marked"), "Mcp-Param-Text": wrapped("eu")}
    for right in (RIGHT, RIGHT | spelled, RIGHT | {"Mcp-Param-Count": "7.0"}):
        assert (await post(gateway, right))[0] == 200
    assert [had.body for had in recorder.received] == [b'{"n":7,"text":"eu"}'] * 3


async def test_a15_a_header_that_comes_twice_is_refused(
    gateway: Gateway, recorder: Recorder
) -> None:
    """Two readers could each take another one; also when both say the same."""
    ours = {
        "Content-Type": "application/json",
        "Authorization": f"Bearer {gateway.world.agent_token}",
    }
    url, body = gateway.agents + "/mcp/rec", request("tools/call", CALL)
    for name, value in RIGHT.items():
        for second in (value, "other"):
            headers = [*(RIGHT | ours).items(), (name, second)]
            async with gateway.http.post(url, json=body, headers=headers) as answer:
                assert answer.status == 400, name
    assert recorder.received == []


async def test_a15_headers_mislead_in_no_revision(gateway: Gateway, recorder: Recorder) -> None:
    """An older client needs none of them; one that comes has to agree."""
    session = await session_of(gateway)
    plain = {name: value for name, value in CALL.items() if name != "_meta"}
    for name, value in (("Mcp-Method", "tools/list"), ("Mcp-Name", "read")):
        status, answer = await post(gateway, session | {name: value}, plain)
        assert (status, code_of(answer)) == (400, -32020)
    assert recorder.received == []
    assert (await post(gateway, session, plain))[0] == 200
