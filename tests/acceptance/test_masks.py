"""Masks a policy asks for: on results of every kind, on frames, and refused when not understood."""

import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from tests.harness.changing_mcp import pin_of
from tests.harness.doors import META, STATELESS
from tests.harness.echoing_mcp import DEFINITION, EchoingMcp, Frames, saying, text_result
from tests.harness.gateway import Gateway
from tests.harness.recorder import Recorder
from tests.harness.tiny_bundle import write
from tests.harness.world import World

MAIL = "ann@example.org"
RULE = """package detent.rules.masks

obligations contains {"type": "mask", "path": "PATH"} if input.resource.server in {"rec", "echo"}
"""


@pytest.fixture
async def server() -> AsyncIterator[EchoingMcp]:
    """A server that tells mail addresses."""
    server = await EchoingMcp().start()
    yield server
    await server.stop()


def masking(world: World, path: str) -> World:
    """Add a rule that masks this path in everything."""
    world.write()
    write(world.bundle, {"rules/masks/masks.rego": RULE.replace("PATH", path)})
    return world


@pytest.fixture
def echo(world: World, server: EchoingMcp) -> World:
    """A gateway in front of that server."""
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
    return world


async def test_the_body_of_an_http_tool_is_masked(world: World, recorder: Recorder) -> None:
    """On each of a list's items; what is stored for a repeated key is masked as well."""
    recorder.reply = {"users": [{"email": MAIL, "n": 1}, {"email": 7}]}
    async with Gateway(masking(world, "/result/users/*/email")) as gateway:
        for _ in range(2):
            _, answer = await gateway.call("read", idempotency_key="once")
            assert answer["result"]["body"] == {
                "users": [{"email": "[masked]", "n": 1}, {"email": "[masked]"}]
            }
    assert len(recorder.received) == 1
    assert MAIL.encode() not in world.database.read_bytes()


ANSWERS: list[dict[str, Any]] = [
    {"result": {"content": [], "structuredContent": {"email": MAIL}}},
    text_result(json.dumps({"email": MAIL, "x": 1})),
    {"result": {"content": [{"type": "text", "text": MAIL}], "structuredContent": {"email": MAIL}}},
    {"error": {"code": -32000, "message": "no", "data": {"email": MAIL}}},
]


async def test_results_and_errors_of_an_mcp_tool_are_masked(
    echo: World, server: EchoingMcp
) -> None:
    """Structured content, JSON in a text, the same in prose beside it, the data of an error."""
    async with Gateway(masking(echo, "/result/email")) as gateway:
        for one in ANSWERS:
            server.says = saying([], one)
            _, answer = await gateway.call("echo", server="echo")
            assert "[masked]" in json.dumps(answer)
            assert MAIL not in json.dumps(answer)


async def test_frames_are_masked_one_by_one(echo: World, server: EchoingMcp) -> None:
    """Log messages with objects, progress with JSON in its text."""
    frames: Frames = [{"data": {"email": MAIL}}, {"progress": json.dumps({"email": MAIL})}]
    server.says = saying(frames, text_result("done"))
    meta = META | {"progressToken": "p1", "io.modelcontextprotocol/logLevel": "debug"}
    params = {"name": "echo", "arguments": {}, "_meta": meta}
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    headers = {
        "Authorization": f"Bearer {echo.agent_token}",
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": STATELESS,
        "Mcp-Method": "tools/call",
        "Mcp-Name": "echo",
    }
    async with Gateway(masking(echo, "/result/email")) as gateway, aiohttp.ClientSession() as http:
        url = f"{gateway.agents}/mcp/echo"
        async with http.post(url, json=body, headers=headers) as answer:
            shown = await answer.text()
    assert shown.count("[masked]") == len(frames)
    assert MAIL not in shown


@pytest.mark.parametrize("path", ["email", "/result", "/result/a~2", "/arguments/text"])
async def test_a_mask_that_is_not_understood_denies_before_anything_is_sent(
    world: World, recorder: Recorder, path: str
) -> None:
    """0 bytes at the tool."""
    async with Gateway(masking(world, path)) as gateway:
        status, answer = await gateway.call("write", {"text": "x"})
        assert (status, answer["reasons"][0]["id"]) == (403, "obligation-unknown")
    assert recorder.received == []
