"""A79: a request that makes the gateway run a program: none does, on any door."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.harness.processes import children_of, command_of
from tests.harness.standing import PORTS, Standing

pytestmark = pytest.mark.asyncio(loop_scope="module")

MARK = "/tmp/detent-a79"
COMMAND = ["/usr/bin/touch", MARK]
SERVER: dict[str, Any] = {"mcp": {"command": COMMAND}}
BODIES: list[dict[str, Any]] = [
    SERVER,
    {"command": COMMAND},
    {"name": "evil", "command": COMMAND[0], "args": COMMAND[1:]},
    {"servers": {"evil": SERVER}},
    {"mcpServers": {"evil": {"command": COMMAND[0], "args": COMMAND[1:]}}},
    {"mcp_server": {"transport": "stdio", "command": " ".join(COMMAND)}},
]
PATHS = [
    "/v1/servers", "/v1/servers/evil", "/servers", "/gateways", "/v1/mcp/servers", "/exec",
    "/mcp-rest/test/connection", "/mcp-rest/test/tools/list", "/v1/config", "/admin/servers",
    "/v1/tools", "/v1/credentials", "/v1/policy", "/v1/policies/evil", "/v1/plugins",
]  # fmt: skip
OWN = {
    "agents": ["/v1/calls", "/v1/sessions", "/mcp", "/mcp/rec", "/mcp/evil"],
    "operators": ["/killswitch", "/v1/policy/reload"],
}
METHODS = ["POST", "PUT", "PATCH"]


async def children(standing: Standing) -> list[str]:
    """Return the programs the gateway runs."""
    return sorted(command_of(pid) for pid in children_of(standing.gateway.pid))


async def ask(standing: Standing, port: str, method: str, path: str, body: Any) -> int:
    asked = standing.gateway.ask if port == "agents" else standing.gateway.operate
    return (await asked(method, path, body))[0]


@pytest.mark.parametrize("port", PORTS)
async def test_there_is_no_path_to_add_a_server(standing: Standing, port: str) -> None:
    """Valid tokens with every role, every method, every usual name: nothing is there."""
    before = await children(standing)
    for path in PATHS:
        for method in METHODS:
            for body in BODIES[:2]:
                assert await ask(standing, port, method, path, body) in {404, 405}
    assert await children(standing) == before
    assert not Path(MARK).exists()


@pytest.mark.parametrize("port", PORTS)
async def test_no_path_there_is_takes_a_command(standing: Standing, port: str) -> None:
    """Unknown members are refused, not ignored; a kill among them kills nothing."""
    before = await children(standing)
    for path in OWN[port]:
        for body in BODIES:
            assert await ask(standing, port, "POST", path, body) in {400, 404}
    assert await children(standing) == before
    assert not Path(MARK).exists()
    assert await standing.nothing_happened()


METHODS_OF_MCP = [
    ("server/register", SERVER),
    ("servers/add", SERVER),
    ("config/set", {"servers": {"evil": SERVER}}),
    ("initialize", {"protocolVersion": "2025-11-25", "capabilities": {"command": COMMAND}}),
    ("tools/call", {"name": "rec__write", "arguments": {}, "command": COMMAND}),
    ("tools/call", {"name": "evil__run", "arguments": {"command": COMMAND}}),
    ("roots/list", {"roots": [{"uri": "file:///bin"}]}),
]


@pytest.mark.parametrize(("method", "params"), METHODS_OF_MCP)
async def test_no_message_does(standing: Standing, method: str, params: dict[str, Any]) -> None:
    """Nor a method of MCP, known or not, with or without a session."""
    before = await children(standing)
    message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    headers = {"Accept": "application/json, text/event-stream"}
    await standing.gateway.ask("POST", "/mcp", message, headers=headers)
    await asyncio.sleep(0.05)
    assert await children(standing) == before
    assert not Path(MARK).exists()


async def test_arguments_are_only_ever_arguments(standing: Standing) -> None:
    """What looks like a command, a template or an object of some language arrives as it was."""
    touch = f"touch {MARK}"
    texts = [
        f"$({touch})",
        f"`{touch}`",
        f"; {touch}",
        f"| {touch}",
        f"__import__('os').system('{touch}')",
        "{{ self.__init__.__globals__ }}",
        "${jndi:ldap://127.0.0.1/a}",
        "!!python/object:os.system",
    ]
    for text in texts:
        status, _ = await standing.gateway.call("write", {"text": text})
        assert status == 200
    assert [body["text"] for body in standing.recorder.bodies()] == texts
    assert not Path(MARK).exists()
    assert json.dumps(await children(standing)).count("touch") == 0
