"""A14: a server offers, or an agent calls, a tool whose name only looks like a reviewed one."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.harness.changing_mcp import DEFINITION, ChangingMcp, pin_of
from tests.harness.gateway import Gateway
from tests.harness.tool_names import called, listed
from tests.harness.world import World

ODD = {
    "full-width": "\uff4cookup",
    "cyrillic": "l\u043e\u043ekup",
    "greek": "l\u03bfokup",
    "kelvin sign": "loo\u212aup",
    "zero-width": "look\u200bup",
    "right-to-left mark": "lookup\u202e",
    "combining": "looku\u0301p",
}
ASCII = {
    "case": "Lookup",
    "upper case": "LOOKUP",
    "digits": "l00kup",
    "capital i": "Iookup",
    "a separator": "look-up",
}

NAMES = (*ODD.values(), *ASCII.values())


@pytest.fixture
async def server() -> AsyncIterator[ChangingMcp]:
    """A server with one reviewed tool."""
    server = await ChangingMcp().start()
    yield server
    await server.stop()


@pytest.fixture
async def twin() -> AsyncIterator[ChangingMcp]:
    """Another server, whose only reviewed tool has another name."""
    definition = DEFINITION | {"name": "fetch"}
    server = await ChangingMcp(definition=definition).start()
    yield server
    await server.stop()


@pytest.fixture
def pinned(world: World, server: ChangingMcp, twin: ChangingMcp) -> World:
    """Both servers, each with its tool reviewed."""
    servers = {"search": server, "twin": twin}
    for name, one in servers.items():
        world.tools[name] = {str(one.definition["name"]): entry(one.definition)}
    world.roles = {"tester": {"tools": ["search/*", "twin/*"]}}
    world.servers = {
        name: {"mcp": {"url": one.url}, "allow_private": True} for name, one in servers.items()
    }
    return world


def entry(definition: dict[str, Any]) -> dict[str, Any]:
    """Return the manifest entry of a reviewed definition."""
    rest = {"recovery": "probe", "risk": 1, "timeout": "5s", "returns": "trusted"}
    return {"pin": pin_of(definition), "effect": "read", "credential": {"broker": "none"}} | rest


@pytest.mark.parametrize("on", ["search", "twin"])
async def test_a14_a_name_like_a_reviewed_one_is_refused_and_told(
    pinned: World, server: ChangingMcp, twin: ChangingMcp, on: str
) -> None:
    """Neither listed nor called, and people hear what it imitates; the real one is callable."""
    imitator = server if on == "search" else twin
    imitator.more = [DEFINITION | {"name": name} for name in NAMES]
    async with Gateway(pinned) as gateway:
        for name in NAMES:
            status, answer = await gateway.call(name, {"q": "x"}, server=on)
            code = answer["code"] if status == 400 else answer["reasons"][0]["id"]
            assert (status, code) in {(400, "unknown-tool-name"), (403, "unknown-tool")}
        assert (server.calls, twin.calls) == ([], [])
        assert await listed(gateway) == ["search__lookup", "twin__fetch"]
        assert told(gateway, "is easily taken for the reviewed search/lookup") == len(NAMES)
        assert (await gateway.call("lookup", {"q": "x"}, server="search"))[0] == 200


def told(gateway: Gateway, message: str) -> int:
    """Count the alerts with these words."""
    return sum("proxy.monitors.integrity" in line and message in line for line in lines(gateway))


def lines(gateway: Gateway) -> list[str]:
    return gateway.text.splitlines()


async def test_a14_the_name_of_another_servers_tool_is_refused_and_told(
    pinned: World, twin: ChangingMcp
) -> None:
    """Shadowing: a server that begins to offer what another is known for."""
    twin.more = [DEFINITION]
    async with Gateway(pinned) as gateway:
        status, answer = await gateway.call("lookup", {"q": "x"}, server="twin")
        assert (status, answer["reasons"][0]["id"]) == (403, "unknown-tool")
        assert twin.calls == []
        assert await listed(gateway) == ["search__lookup", "twin__fetch"]
        assert await gateway.wrote("twin/lookup has the name of the reviewed search/lookup")


async def test_a14_one_name_on_two_servers_is_fine_when_both_were_reviewed(
    pinned: World, twin: ChangingMcp
) -> None:
    """Prefixes and paths keep them apart."""
    twin.more = [DEFINITION]
    pinned.tools["twin"]["lookup"] = entry(DEFINITION)
    async with Gateway(pinned) as gateway:
        assert (await gateway.call("lookup", {"q": "x"}, server="twin"))[0] == 200
        assert "has the name of" not in gateway.text


async def test_a14_a_name_offered_twice_names_nothing(pinned: World, server: ChangingMcp) -> None:
    """Which of the two a call would reach is not known."""
    server.more = [DEFINITION | {"description": "The other one."}]
    async with Gateway(pinned) as gateway:
        assert (await gateway.call("lookup", {"q": "x"}, server="search"))[0] == 403
        assert server.calls == []
        assert await gateway.wrote("search/lookup is no tool (several tools have this name)")


@pytest.mark.parametrize("name", ["Lookup", "LOOKUP", "look-up", "l00kup"])
async def test_a14_an_agent_gets_only_the_exact_name(
    pinned: World, server: ChangingMcp, name: str
) -> None:
    """No folding of identifiers on the way in, on any door."""
    async with Gateway(pinned) as gateway:
        answer = await called(gateway, f"search__{name}", {"q": "x"})
        assert "error" in answer or answer["result"]["isError"]
        assert server.calls == []
