import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager

from proxy.errors import UpstreamFailed
from proxy.model.mcp import Notification
from proxy.model.tool import ToolDefinition
from proxy.upstream.base import UpstreamCall, UpstreamResult
from proxy.upstream.quiet import silence
from proxy.upstream.registry import Registry


class Server:
    """A server whose list can change or fail."""

    kind = "mcp"

    def __init__(self, name: str, *tools: str) -> None:
        self.name = name
        self.tools = list(tools)
        self.down = False
        self.running = False

    async def start(self) -> None:
        if self.down:
            raise UpstreamFailed("refused")
        self.running = True

    async def stop(self) -> None:
        self.running = False

    async def definitions(self) -> tuple[ToolDefinition, ...]:
        if self.down:
            raise UpstreamFailed("refused")
        return tuple(ToolDefinition(tool, b"{}", f"sha256:{tool}", b"{}") for tool in self.tools)

    async def call(self, call: UpstreamCall, sending: Callable[[], None]) -> UpstreamResult:
        raise UpstreamFailed("not here")

    def watch(self, session: str) -> AbstractAsyncContextManager[AsyncIterator[Notification]]:
        return silence()

    async def forget(self, session: str) -> None: ...


async def test_tools_are_known_by_server_and_name() -> None:
    """The same tool name on two servers is two tools."""
    one, two = Server("one", "read"), Server("two", "read", "write")
    registry = Registry({"one": one, "two": two})
    await registry.start()
    assert registry.definition("one", "read") is not None
    assert registry.definition("one", "write") is None
    assert registry.upstream("two") is two
    assert registry.upstream("three") is None
    await registry.stop()
    assert not one.running


async def test_a_server_that_is_down_has_no_tools_until_it_is_back() -> None:
    """One broken server does not keep the others from starting."""
    down, up = Server("down", "read"), Server("up", "read")
    down.down = True
    registry = Registry({"down": down, "up": up})
    await registry.start()
    assert registry.definition("down", "read") is None
    assert registry.definition("up", "read") is not None
    down.down = False
    await registry.refresh()
    assert registry.definition("down", "read") is not None
    await registry.stop()


async def test_a_change_is_seen_soon_after_a_server_says_so() -> None:
    """mark_stale refreshes without waiting for the period; nothing new tells nobody."""
    server = Server("one", "read")
    registry = Registry({"one": server})
    await registry.start()
    changes: list[int] = []
    registry.changed = lambda: changes.append(1)
    await registry.refresh()
    assert changes == []
    server.tools.append("write")
    registry.mark_stale("one")
    async with asyncio.timeout(1):
        while registry.definition("one", "write") is None:
            await asyncio.sleep(0.005)
    assert changes == [1]
    await registry.stop()


async def test_the_list_is_asked_for_again_by_itself() -> None:
    """A server that says nothing is asked every period."""
    server = Server("one")
    registry = Registry({"one": server}, refresh_s=0.01)
    await registry.start()
    server.tools.append("late")
    async with asyncio.timeout(1):
        while registry.definition("one", "late") is None:
            await asyncio.sleep(0.005)
    await registry.stop()


async def test_stopping_what_was_never_started_is_fine() -> None:
    """A failed start can be undone."""
    server = Server("one")
    await Registry({"one": server}).stop()
    assert not server.running


async def test_servers_can_be_given_after_the_registry_was_made() -> None:
    """Servers need the registry to report to, and the registry its servers."""
    registry = Registry({})
    registry.serve({"one": Server("one", "read")})
    await registry.start()
    assert registry.definition("one", "read") is not None
    await registry.stop()


async def test_a_flood_of_changes_is_one_refresh_at_a_time() -> None:
    """A server that keeps saying so does not make us ask without end (A36)."""
    server, asked = Server("one", "read"), [0]
    definitions = server.definitions

    async def counted() -> tuple[ToolDefinition, ...]:
        asked[0] += 1
        return await definitions()

    server.definitions = counted  # type: ignore[method-assign]
    registry = Registry({"one": server})
    await registry.start()
    for _ in range(50):
        registry.mark_stale("one")
        await asyncio.sleep(0.005)
    assert asked[0] <= 4
    await registry.stop()


async def test_a_change_that_was_told_is_waited_for() -> None:
    """Who asks after the notice gets the list that was read after it."""
    server = Server("one", "read")
    registry = Registry({"one": server})
    await registry.start()
    assert await registry.unsettled("one", 1) == frozenset()
    server.tools.append("write")
    registry.mark_stale("one")
    assert registry.stale() == {"one"}
    assert await registry.unsettled("one", 1) == frozenset()
    assert registry.definition("one", "write") is not None
    await registry.stop()


async def test_a_flood_keeps_nobody_waiting_for_the_end_of_it() -> None:
    """Only for what was told before."""
    registry = Registry({"one": Server("one", "read")})
    await registry.start()

    async def flood() -> None:
        while True:
            registry.mark_stale("one")
            await asyncio.sleep(0)

    flooding = asyncio.create_task(flood())
    await asyncio.sleep(0.01)
    for _ in range(3):
        assert await registry.unsettled(None, 1) == frozenset()
    flooding.cancel()
    await registry.stop()


async def test_a_server_that_does_not_give_its_new_list_holds_up_no_other() -> None:
    """Its own tools are not known; those of the others are."""
    slow, quick = Server("slow", "read"), Server("quick", "read")
    registry = Registry({"slow": slow, "quick": quick})
    await registry.start()

    async def never() -> tuple[ToolDefinition, ...]:
        await asyncio.Event().wait()
        return ()

    slow.definitions = never  # type: ignore[method-assign]
    registry.mark_stale("slow")
    registry.mark_stale("quick")
    assert await registry.unsettled(None, 0.05) == {"slow"}
    assert await registry.unsettled("quick", 0.05) == frozenset()
    assert await registry.unsettled("slow", 0.05) == {"slow"}
    await registry.stop()


async def test_what_is_no_tool_is_listed_and_does_not_exist() -> None:
    """People are told of it, agents never reach it."""
    server = Server("one", "read")
    refused = ToolDefinition("odd", b"{}", "", b"{}", "odd name")

    async def with_problem() -> tuple[ToolDefinition, ...]:
        return (refused,)

    server.definitions = with_problem  # type: ignore[method-assign]
    registry = Registry({"one": server})
    await registry.start()
    assert registry.definition("one", "odd") is None
    assert registry.listed() == {"one": (refused,)}
    registry.mark_stale("nobody")
    await registry.stop()
