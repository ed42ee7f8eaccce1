"""A69: a result with line breaks, terminal codes, Unicode separators, a forged line of our log."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.harness.changing_mcp import pin_of
from tests.harness.echoing_mcp import DEFINITION, EchoingMcp, saying, text_result
from tests.harness.gateway import READY, Gateway
from tests.harness.recorder import Recorder
from tests.harness.world import World

FORGED = '{"time":"2026-11-22T00:00:00Z","level":"critical","logger":"proxy","message":"forged"}'
NASTY = f"a\r\n{FORGED}\r\n\n\x1b[2J\x1b]0;owned\x07\x9b31m\u2028{FORGED}\u2029\u202e\x00-\x85end"


@pytest.fixture
async def server() -> AsyncIterator[EchoingMcp]:
    """A server that says what it likes."""
    server = await EchoingMcp().start()
    yield server
    await server.stop()


def lines_of(gateway: Gateway) -> list[dict[str, Any]]:
    """Return the log, each line of which is one object."""
    raw = b"".join(gateway.log)
    assert all(byte >= 0x20 or byte == 0x0A for byte in raw)
    assert b"\xe2\x80\xa8" not in raw
    lines = (line for line in raw.split(b"\n") if line and not READY.search(line))
    return [json.loads(line) for line in lines]


def assert_nothing_forged(gateway: Gateway) -> None:
    lines = lines_of(gateway)
    assert lines
    assert all({"time", "level", "logger", "message"} <= line.keys() for line in lines)
    assert not any(line["message"] == "forged" for line in lines)


@pytest.mark.parametrize("status", [200, 404, 503])
async def test_a69_the_answer_of_an_http_tool(
    world: World, recorder: Recorder, status: int
) -> None:
    """It reaches the agent as one JSON string, and no log and no audit record at all."""
    recorder.reply, recorder.status = {"said": NASTY}, status
    async with Gateway(world) as gateway:
        _, answer = await gateway.call("read")
        assert answer["result"]["body"]["said"] == NASTY
        _, audit = await gateway.operate("GET", "/v1/decisions")
        assert len(audit["decisions"]) == 1
        assert "forged" not in json.dumps(audit)
        assert_nothing_forged(gateway)


async def test_a69_the_answers_and_errors_of_an_mcp_server(
    world: World, server: EchoingMcp
) -> None:
    """Results, frames and JSON-RPC errors; whatever of it is logged is one line."""
    world.tools["echo"] = {
        "echo": {
            "pin": pin_of(DEFINITION),
            "effect": "read",
            "recovery": "probe",
            "risk": 1,
            "timeout": "5s",
            "returns": "trusted",
            "credential": {"broker": "none"},
        }
    }
    world.servers = {"echo": {"mcp": {"url": server.url}, "allow_private": True}}
    says: list[dict[str, Any]] = [
        text_result(NASTY),
        {"error": {"code": -32000, "message": NASTY, "data": NASTY}},
    ]
    async with Gateway(world) as gateway:
        for one in says:
            server.says = saying([{"data": NASTY}, {"progress": NASTY}], one)
            _, answer = await gateway.call("echo", server="echo")
            assert json.dumps(NASTY)[1:-1] in json.dumps(answer)
        assert_nothing_forged(gateway)
        _, audit = await gateway.operate("GET", "/v1/decisions")
        assert len(audit["decisions"]) == len(says)
        assert "forged" not in json.dumps(audit)


async def test_a69_names_of_tools_and_lines_of_a_server(world: World) -> None:
    """What a child writes to its standard error, and calls its tools, is one line each."""
    program = (
        "import sys, json\n"
        f"nasty = {NASTY!r}\n"
        "sys.stderr.write(nasty + '\\n'); sys.stderr.flush()\n"
        "tool = {'name': nasty, 'inputSchema': {}}\n"
        "known = {'initialize': {'protocolVersion': '2025-11-25', 'capabilities': {},\n"
        "  'serverInfo': {'name': nasty, 'version': nasty}}, 'tools/list': {'tools': [tool]}}\n"
        "for line in sys.stdin:\n"
        "  asked = json.loads(line)\n"
        "  if 'id' in asked:\n"
        "    reply = {'jsonrpc': '2.0', 'id': asked['id'], 'result': known.get(asked['method'])}\n"
        "    print(json.dumps(reply), flush=True)\n"
    )
    world.servers = {"child": {"mcp": {"command": ["python3", "-c", program]}}}
    async with Gateway(world) as gateway:
        await gateway.call("read")
        assert_nothing_forged(gateway)
        assert any("is no tool" in line["message"] for line in lines_of(gateway))
