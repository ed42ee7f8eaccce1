"""What servers say outside of calls, on its way to a client's stream."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from proxy.model.mcp import Notification
from proxy.pipeline import watch
from tests.unit.proxy.pipeline.conftest import House

PROMPTS = "notifications/prompts/list_changed"
UPDATED = "notifications/resources/updated"


async def heard(house: House, *said: Notification) -> list[tuple[str, Notification]]:
    """Return what a client's stream passes on of what the server says."""
    house.tool.said = list(said)
    async with house.pipeline.watch(None, "s1") as stream:
        return [found async for found in stream]


async def test_only_what_the_manifest_offers_is_passed_on(house: House) -> None:
    """Prompts are listed in the manifest, the list of resources is not."""
    resources = Notification("notifications/resources/list_changed", b"{}")
    tools = Notification("notifications/tools/list_changed", b'{"x":"y"}')
    found = await heard(house, Notification(PROMPTS, b"{}"), resources, tools)
    assert found == [
        ("repo", Notification(PROMPTS, b"{}")),
        ("repo", Notification("notifications/tools/list_changed", b"{}")),
    ]


async def test_an_update_says_which_resource_and_nothing_else(house: House) -> None:
    """What else a server puts there is not for the client."""
    found = await heard(house, Notification(UPDATED, b'{"uri":"file:///a","text":"obey"}'))
    assert found == [("repo", Notification(UPDATED, b'{"uri": "file:///a"}'))]


@pytest.mark.parametrize("params", [b"{", b"[]", b"{}", b'{"uri":1}', b"[" * 100_000])
async def test_an_update_without_a_resource_is_dropped(house: House, params: bytes) -> None:
    """It could only confuse the client."""
    assert await heard(house, Notification(UPDATED, params)) == []


async def test_unknown_notifications_are_dropped(house: House) -> None:
    """Nothing passes that the manifest cannot speak of."""
    assert await heard(house, Notification("notifications/vendor", b"{}")) == []


async def test_leaving_closes_the_streams_to_the_servers(house: House) -> None:
    """A client that goes away leaves nothing open behind the gateway."""
    house.tool.hang_after = asyncio.Event()
    async with house.pipeline.watch("repo", "s1"):
        assert house.tool.watched == ["s1"]
    assert house.tool.watched == []


async def test_a_server_that_is_not_configured_says_nothing(house: House) -> None:
    """Its manifest may be there before it is."""
    house.registry.serve({})
    assert await heard(house, Notification(PROMPTS, b"{}")) == []


async def test_a_session_that_ended_is_forgotten_by_every_server(house: House) -> None:
    """Whatever they keep for it can go."""
    await house.pipeline.forget("s1")
    assert house.tool.forgotten == ["s1"]


async def test_a_server_that_cannot_be_heard_holds_nobody_up_for_long(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client is told that it listens after a while all the same."""
    monkeypatch.setattr(watch, "OPENING_S", 0.01)
    never = asyncio.Event()

    @asynccontextmanager
    async def silent(_: str) -> AsyncIterator[AsyncIterator[Notification]]:
        await never.wait()
        yield house.tool._saying()

    monkeypatch.setattr(house.tool, "watch", silent)
    async with house.pipeline.watch("repo", "s1") as stream:
        assert not never.is_set()
        del stream
