"""A16: an older, absent or unknown protocol version, in the hope of a way around the policy."""

from typing import Any

import pytest

from tests.harness.gateway import Gateway
from tests.harness.mcp_raw import META, STATELESS, code_of, request, session_of
from tests.harness.recorder import Recorder
from tests.harness.world import World

SERVED = ["2025-06-18", "2025-11-25", STATELESS]
UNKNOWN = ["2024-11-05", "2025-03-26", "2026-07-27", "2031-01-01", "1", "latest"]
META_VERSION = "io.modelcontextprotocol/protocolVersion"


@pytest.fixture
def world(world: World) -> World:
    """Where only one tool may be called."""
    world.roles = {"tester": {"tools": ["rec/read"]}}
    return world


async def call(gateway: Gateway, version: str, tool: str, **headers: str) -> tuple[int, Any]:
    """Call a tool as a client of that version would; other headers take the place of its own."""
    params: dict[str, Any] = {"name": tool, "arguments": {}}
    if version == STATELESS:
        params["_meta"] = META
        sent = {"MCP-Protocol-Version": version, "Mcp-Method": "tools/call", "Mcp-Name": tool}
    else:
        sent = await session_of(gateway, version=version)
    body = request("tools/call", params)
    return await gateway.ask("POST", "/mcp/rec", body, headers=sent | headers)


async def test_a16_every_version_meets_the_same_policy(
    gateway: Gateway, recorder: Recorder
) -> None:
    """Denied is denied, with 0 bytes at the tool; allowed is allowed."""
    for version in SERVED:
        status, denied = await call(gateway, version, "write")
        assert (status, denied["result"]["isError"], recorder.received) == (200, True, [])
        reasons = denied["result"]["_meta"]["io.detent/reasons"]
        assert reasons == ["role-not-allowed"]
    for version in SERVED:
        assert (await call(gateway, version, "read"))[1]["result"]["isError"] is False
    assert len(recorder.received) == len(SERVED)


async def test_a16_an_unknown_version_is_told_so(gateway: Gateway, recorder: Recorder) -> None:
    """With and without a session, for tools that may be called as well."""
    session = await session_of(gateway)
    for version in UNKNOWN:
        body = request("tools/call", {"name": "read", "_meta": META | {META_VERSION: version}})
        sent = {"MCP-Protocol-Version": version, "Mcp-Method": "tools/call", "Mcp-Name": "read"}
        for headers in (sent, session | sent):
            status, answer = await gateway.ask("POST", "/mcp/rec", body, headers=headers)
            assert (status, code_of(answer)) == (400, -32022)
            assert STATELESS in answer["error"]["data"]["supported"]
        plain = request("tools/call", {"name": "read"})
        unnamed = session | {"MCP-Protocol-Version": version}
        assert (await gateway.ask("POST", "/mcp/rec", plain, headers=unnamed))[0] == 400
    assert recorder.received == []


async def test_a16_without_a_version_there_has_to_be_a_session(
    gateway: Gateway, recorder: Recorder
) -> None:
    """Which has agreed on one; its policy is the same."""
    body = request("tools/call", {"name": "write", "arguments": {}})
    assert (await gateway.ask("POST", "/mcp/rec", body))[0] == 400
    session = await session_of(gateway)
    session.pop("MCP-Protocol-Version")
    status, answer = await gateway.ask("POST", "/mcp/rec", body, headers=session)
    assert (status, answer["result"]["isError"], recorder.received) == (200, True, [])
