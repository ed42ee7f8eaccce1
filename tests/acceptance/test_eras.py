"""Every pair of eras: a client of either in front of a server of either, through the gateway.

The server is the conformance fixture, restricted to one era. What it asks of the client's user or
model reaches the client the way that client's era knows, and the answer reaches the server the way
the server's does.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from mcp.client.client import Client
from mcp.shared.subscriptions import (
    ResourceUpdated,
    ServerEvent,
    ToolsListChanged,
    event_from_wire,
)
from mcp_types import CreateMessageResult, ElicitResult, TextContent

from tests.conformance.fixture.tools import WATCHED
from tests.conformance.places import fixture
from tests.harness.gateway import Gateway
from tests.harness.manifests import ALL_TOOLS, declared, drafted, harmless
from tests.harness.sdk_client import ERAS, HANDSHAKE, STATELESS, connected, text_of
from tests.harness.world import World

SERVERS = ("handshake", "stateless", "both")
pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.parametrize("era", ERAS),
    pytest.mark.parametrize("server", SERVERS),
    pytest.mark.timeout(300),  # the first test starts four processes
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    """One gateway in front of three servers: of either era, and of both."""
    async with AsyncExitStack() as stack:
        starting = (stack.enter_async_context(fixture(era)) for era in SERVERS)
        urls = dict(zip(SERVERS, await asyncio.gather(*starting), strict=True))
        world = World(Path(tmp_path_factory.mktemp("eras")), "http://127.0.0.1:9")
        world.servers = {
            era: {"mcp": {"url": url}, "allow_private": True} for era, url in urls.items()
        }
        world.tools.clear()
        for era in SERVERS:
            world.tools[era] = harmless(await drafted(world, era)) | await declared(urls[era])
        world.roles = {"tester": {"tools": ALL_TOOLS}}
        yield await stack.enter_async_context(Gateway(world))


@asynccontextmanager
async def client(gateway: Gateway, era: str, server: str, **more: Any) -> AsyncIterator[Client]:
    """Connect a client whose user and model answer."""

    async def elicited(_: Any, params: Any) -> ElicitResult:
        wanted = params.requested_schema["properties"]
        return ElicitResult(action="accept", content=dict.fromkeys(wanted, "Alice"))

    async def sampled(_: Any, params: Any) -> CreateMessageResult:
        content = TextContent(text=f"to {params.messages[0].content.text}: Paris")
        return CreateMessageResult(role="assistant", content=content, model="test")

    answers = {"elicitation_callback": elicited, "sampling_callback": sampled} | more
    async with connected(gateway, era, f"/mcp/{server}", **answers) as connection:
        yield connection


async def test_a_tool_answers(gateway: Gateway, era: str, server: str) -> None:
    """The simplest call."""
    async with client(gateway, era, server) as agent:
        assert "simple text" in text_of(await agent.call_tool("test_simple_text", {}))


async def test_a_tool_asks_the_user(gateway: Gateway, era: str, server: str) -> None:
    """Elicitation, in the middle of a call."""
    async with client(gateway, era, server) as agent:
        result = await agent.call_tool("test_elicitation", {"message": "Who are you?"})
    assert "action=accept" in text_of(result)
    assert "Alice" in text_of(result)


async def test_a_tool_asks_the_model(gateway: Gateway, era: str, server: str) -> None:
    """Sampling, in the middle of a call."""
    async with client(gateway, era, server) as agent:
        result = await agent.call_tool("test_sampling", {"prompt": "the capital?"})
    assert text_of(result) == "LLM response: to the capital?: Paris"


async def test_a_tool_asks_twice(gateway: Gateway, era: str, server: str) -> None:
    """The second question comes of the first answer."""
    async with client(gateway, era, server) as agent:
        result = await agent.call_tool("test_input_required_result_multi_round", {})
    assert text_of(result).count("Alice") == 2


async def test_a_prompt_asks_the_user(gateway: Gateway, era: str, server: str) -> None:
    """It is not only tools that ask."""
    async with client(gateway, era, server) as agent:
        prompt = await agent.get_prompt("test_input_required_result_prompt")
    assert "Alice" in prompt.messages[0].content.text  # type: ignore[union-attr]  # a text


async def test_progress_arrives(gateway: Gateway, era: str, server: str) -> None:
    """Progress passes in both directions of the bridge."""
    seen: list[float] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        seen.append(progress)

    async with client(gateway, era, server) as agent:
        await agent.call_tool("test_tool_with_progress", {}, progress_callback=note)
    assert seen == [0, 50, 100]


@pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning")
async def test_logs_arrive(gateway: Gateway, era: str, server: str) -> None:
    """A client that asked for logs, each era in its own way, gets them."""
    seen: list[str] = []

    async def note(params: Any) -> None:
        seen.append(params.data)

    more: dict[str, Any] = {"logging_callback": note}
    if era == STATELESS:
        more["log_level"] = "info"
    async with client(gateway, era, server, **more) as agent:
        if era == HANDSHAKE:
            await agent.set_logging_level("info")
        await agent.call_tool("test_tool_with_logging", {})
    assert len(seen) == 3


async def test_an_error_of_the_server_stays_as_it_is(
    gateway: Gateway, era: str, server: str
) -> None:
    """Code, message and data of a JSON-RPC error reach the client."""
    async with client(gateway, era, server) as agent:
        with pytest.raises(Exception, match="Resource not found") as raised:
            await agent.read_resource("test://nowhere")
    assert raised.value.error.data == {"uri": "test://nowhere"}  # type: ignore[attr-defined]  # MCPError


async def test_a_resource_is_read(gateway: Gateway, era: str, server: str) -> None:
    """A template is filled in by the server."""
    async with client(gateway, era, server) as agent:
        read = await agent.read_resource("test://template/7/data")
    assert '"id": "7"' in read.contents[0].text  # type: ignore[union-attr]  # a text


async def test_a_broken_stream_is_resumed(gateway: Gateway, era: str, server: str) -> None:
    """A server that closes the stream before it answers is asked again; a client of its era too."""
    async with client(gateway, era, server) as agent:
        result = await agent.call_tool("test_reconnection", {})
    assert text_of(result) == "The answer after a reconnection."


async def test_changed_tools_are_announced(gateway: Gateway, era: str, server: str) -> None:
    """On the stream of events that the client's era has."""
    async with listening(gateway, era, server, tools_list_changed=True) as (agent, heard):
        await agent.call_tool("test_trigger_tool_change", {})
        assert await asyncio.wait_for(heard.get(), 10) == ToolsListChanged()


@pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning")
async def test_a_changed_resource_is_announced(gateway: Gateway, era: str, server: str) -> None:
    """To those that subscribed to it, each era in its own way."""
    async with listening(gateway, era, server, resource_subscriptions=[WATCHED]) as (agent, heard):
        if era == HANDSHAKE:
            await agent.subscribe_resource(WATCHED)
        await agent.call_tool("test_touch_resource", {})
        assert await asyncio.wait_for(heard.get(), 10) == ResourceUpdated(WATCHED)


@asynccontextmanager
async def listening(
    gateway: Gateway, era: str, server: str, **wanted: Any
) -> AsyncIterator[tuple[Client, asyncio.Queue[ServerEvent | None]]]:
    """Connect a client that listens; yield it and what it hears."""
    heard: asyncio.Queue[ServerEvent | None] = asyncio.Queue()

    async def note(message: Any) -> None:
        if era == HANDSHAKE:
            said = message.model_dump(by_alias=True, mode="json", exclude_none=True)
            heard.put_nowait(event_from_wire(said["method"], said.get("params")))

    async def follow(events: AsyncIterator[ServerEvent]) -> None:
        async for event in events:
            heard.put_nowait(event)

    async with client(gateway, era, server, message_handler=note) as agent:
        if era == HANDSHAKE:
            yield agent, heard
            return
        async with agent.listen(**wanted) as events:
            following = asyncio.create_task(follow(events))
            yield agent, heard
            following.cancel()
