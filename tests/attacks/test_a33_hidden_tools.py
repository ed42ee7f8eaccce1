"""A33: a tool hidden from tools/list is called directly, by an alias, or on another server."""

import pytest

from tests.harness.gateway import Gateway
from tests.harness.recorder import Recorder
from tests.harness.world import World, http_tool


@pytest.mark.parametrize(
    ("server", "tool"),
    [
        ("rec", "write"),
        ("rec", "WRITE"),
        ("rec", "write."),
        ("rec", "read__write"),
        ("twin", "read"),
        ("nowhere", "read"),
    ],
)
async def test_a33_what_is_not_listed_is_not_called(
    world: World, recorder: Recorder, server: str, tool: str
) -> None:
    """Not visible means refused, whatever name it is called by; 0 bytes at the tool."""
    world.roles = {"tester": {"tools": ["rec/read"]}}
    world.tools["twin"] = {"read": http_tool("GET", "/read", "read")}
    world.servers = {"twin": {"http": {"base_url": recorder.url}, "allow_private": True}}
    async with Gateway(world) as gateway:
        status, answer = await gateway.call(tool, {}, server=server)
        assert status == 403
        assert answer["outcome"] == "denied"
        assert (await gateway.call("read"))[0] == 200
    assert len(recorder.received) == 1
