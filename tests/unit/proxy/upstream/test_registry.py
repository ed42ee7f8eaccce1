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
    registry.mark_stale()
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
        registry.mark_stale()
        await asyncio.sleep(0.005)
    assert asked[0] <= 4
    await registry.stop()
