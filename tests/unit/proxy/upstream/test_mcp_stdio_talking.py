"""MCP servers as children: what they say outside of calls, and what all clients of them share."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from proxy.errors import OutcomeUnknown
from proxy.model.mcp import Era, Notification
from proxy.model.tool import Effect, ToolManifest
from proxy.process.child import ChildSpec
from proxy.upstream.base import UpstreamCall
from proxy.upstream.mcp_stdio import McpStdio
from tests.harness.client import Client
from tests.harness.scripted import MakeScripted, Scripted

URI = b'{"uri":"a://b"}'


async def call(
    server: Scripted, tool: str, session: str = "one", arguments: bytes = b"{}"
) -> bytes:
    method = tool if "/" in tool else "tools/call"
    manifest = ToolManifest("scripted", tool, Effect.WRITE)
    client = Client(Era.HANDSHAKE, session)
    made = UpstreamCall(manifest, arguments, 5, method=method, conversation=client)
    return (await server.upstream.call(made, lambda: None)).result


async def next_of(heard: AsyncIterator[Notification]) -> Notification:
    async with asyncio.timeout(5):
        return await anext(heard)


async def test_it_is_told_what_any_client_may_do(scripted: MakeScripted) -> None:
    """All but roots, which it would keep beyond the call of the client they are from."""
    server = await scripted()
    (opening,) = server.heard("initialize")
    assert opening["params"]["capabilities"].keys() == {"sampling", "elicitation"}


async def test_an_update_reaches_who_subscribed(scripted: MakeScripted) -> None:
    """And nobody else; a changed list reaches everybody (I20)."""
    server = await scripted()
    async with server.upstream.watch("one") as ones, server.upstream.watch("two") as twos:
        await call(server, "resources/subscribe", "one", URI)
        await call(server, "talk", "two")
        assert json.loads((await next_of(ones)).params) == {"uri": "a://b"}
        assert (await next_of(ones)).method == "notifications/prompts/list_changed"
        assert (await next_of(twos)).method == "notifications/prompts/list_changed"


@pytest.mark.parametrize("way", ["handshake", "stateless"])
async def test_subscriptions_outlive_the_process(way: str, scripted: MakeScripted) -> None:
    """One that is started again is told of them."""
    server = await scripted(way)
    await call(server, "resources/subscribe", "one", URI)
    with pytest.raises(OutcomeUnknown):
        await call(server, "exit")
    await server.until(lambda: server.changes != [])
    method = "subscriptions/listen" if way == "stateless" else "resources/subscribe"
    await server.until(lambda: b"a://b" in json.dumps(server.heard(method)[-1]).encode())
    assert len(server.heard("up")) == 2


@pytest.mark.parametrize("way", ["handshake", "stateless"])
async def test_a_forgotten_session_is_not_listened_for(way: str, scripted: MakeScripted) -> None:
    """What nobody else wants is given back."""
    server = await scripted(way)
    await call(server, "resources/subscribe", "one", URI)
    await server.upstream.forget("one")
    method = "subscriptions/listen" if way == "stateless" else "resources/unsubscribe"
    expected = 3 if way == "stateless" else 1
    await server.until(lambda: len(server.heard(method)) == expected)


async def test_forgetting_at_a_server_that_does_not_run() -> None:
    """Nothing is there to be told."""
    await McpStdio(ChildSpec("never", ("true",))).forget("one")


async def test_a_tool_that_needs_input_gets_it(scripted: MakeScripted) -> None:
    """It is called again, with its own state."""
    server = await scripted("stateless")
    assert await call(server, "input") == b'{"resultType": "complete"}'
