"""A34: a method other than tools/call, in the hope that policy looks only at tools."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.harness.gateway import Gateway
from tests.harness.mcp_on_wire import McpServer
from tests.harness.mcp_raw import ERAS, code_of, speak
from tests.harness.wire import Wire
from tests.harness.world import World

READ = {"uri": "file:///etc/passwd"}
REQUESTS: dict[str, dict[str, Any]] = {
    "resources/list": {},
    "resources/templates/list": {},
    "resources/read": READ,
    "prompts/list": {},
    "prompts/get": {"name": "p"},
    "completion/complete": {
        "ref": {"type": "ref/prompt", "name": "p"},
        "argument": {"name": "a", "value": "v"},
    },
    "tasks/get": {"taskId": "t"},
    "tasks/cancel": {"taskId": "t"},
    "vendor/anything": {"x": 1},
}
SESSION_ONLY: dict[str, dict[str, Any]] = {
    "resources/subscribe": READ,
    "resources/unsubscribe": READ,
    "logging/setLevel": {"level": "debug"},
}
NEVER: dict[str, dict[str, Any]] = {
    "sampling/createMessage": {"messages": []},
    "elicitation/create": {"message": "password?"},
    "roots/list": {},
    "vendor": {},
}
METHOD = {"effect": "read", "risk": 0, "returns": "untrusted"}
OWN = frozenset({"initialize", "notifications/initialized", "tools/list", "server/discover"})


@pytest.fixture
async def server() -> AsyncIterator[McpServer]:
    """A server that reads a resource."""
    wire = Wire()
    speaker = McpServer(wire)
    wire.handler = speaker.handle
    async with wire:
        yield speaker


@pytest.fixture
def world(world: World, server: McpServer) -> World:
    """Where the server is configured, and its manifest has no entry for any method."""
    world.servers = {"notes": {"mcp": {"url": server.wire.url}, "allow_private": True}}
    world.tools["notes"] = {}
    return world


def asked_of(server: McpServer) -> list[str]:
    """Return the methods the server was asked, without what the gateway itself needs."""
    bodies = [json.loads(one.body) for one in server.wire.requests if one.body]
    return [had["method"] for had in bodies if had.get("method") not in OWN]


def methods_of(era: str) -> dict[str, dict[str, Any]]:
    return REQUESTS | NEVER | (SESSION_ONLY if era == "2025" else {})


async def test_a34_a_method_without_an_entry_does_not_exist(
    world: World, server: McpServer
) -> None:
    """-32601 for each of them in both eras, on both endpoints; the server gets 0 bytes of it."""
    async with Gateway(world) as gateway:
        for era in ERAS:
            for method, params in methods_of(era).items():
                for path in ("/mcp/notes", "/mcp"):
                    _, answer = await speak(gateway, era, method, params, path=path)
                    assert code_of(answer) in (-32601, -32602), (era, method, path)
                    assert path == "/mcp" or code_of(answer) == -32601, (era, method)
    assert asked_of(server) == []


async def test_a34_an_entry_alone_lets_nobody_through(world: World, server: McpServer) -> None:
    """The method is decided on as a tool is: here the role may call something else only."""
    world.tools["notes"] = dict.fromkeys(REQUESTS, METHOD)
    world.roles = {"tester": {"tools": ["rec/*"]}}
    async with Gateway(world) as gateway:
        for era in ERAS:
            for method, params in REQUESTS.items():
                _, answer = await speak(gateway, era, method, params, path="/mcp/notes")
                assert code_of(answer) == -32010, (era, method)
                reasons = [had["id"] for had in answer["error"]["data"]["reasons"]]
                assert reasons == ["role-not-allowed"]
    assert asked_of(server) == []


async def test_a34_what_only_servers_ask_no_client_can(world: World, server: McpServer) -> None:
    """The entry for a server's request to clients is no way for clients to servers."""
    world.tools["notes"] = dict.fromkeys(["sampling/createMessage", "roots/list"], METHOD)
    async with Gateway(world) as gateway:
        for era in ERAS:
            for method in world.tools["notes"]:
                _, answer = await speak(gateway, era, method, NEVER[method], path="/mcp/notes")
                assert code_of(answer) == -32601
    assert asked_of(server) == []


async def test_a34_what_policy_allows_is_what_the_server_gets(
    world: World, server: McpServer
) -> None:
    """In canonical form, once, and its result comes back as it is."""
    world.tools["notes"] = {"resources/read": METHOD}
    world.roles = {"tester": {"tools": ["notes/resources/read"]}}
    async with Gateway(world) as gateway:
        for era in ERAS:
            status, answer = await speak(gateway, era, "resources/read", READ, path="/mcp/notes")
            assert (status, answer["result"]["contents"]) == (200, [])
    heard = [json.loads(one.body)["params"] for one in server.heard("resources/read")]
    assert [{"uri": had["uri"]} for had in heard] == [READ] * 2
