"""MCP over streamable HTTP: what a server speaks, and what that makes of a call."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from proxy.egress.client import EgressClient
from proxy.errors import UpstreamFailed
from proxy.model.mcp import Era
from proxy.model.tool import Effect, ToolManifest
from proxy.upstream.base import UpstreamCall
from proxy.upstream.mcp_http import McpHttp
from tests.harness.client import Client
from tests.harness.mcp_on_wire import RESULTS, McpServer
from tests.harness.wire import Received, answer

MakeClient = Callable[..., EgressClient]


@pytest.fixture
async def upstream(make_client: MakeClient) -> McpHttp:
    """Give the recorded server as an upstream."""
    return McpHttp("s", make_client("/mcp"), {"X-Key": "static"})


def call(
    arguments: bytes = b"{}", effect: Effect = Effect.WRITE, timeout_s: float = 5
) -> UpstreamCall:
    return UpstreamCall(ToolManifest("s", "echo", effect), arguments, timeout_s)


def nothing() -> None:
    """Nothing stands against a call."""


def status(code: int) -> Callable[[dict[str, Any], asyncio.StreamWriter], Any]:
    async def on_call(message: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        writer.write(answer(b"", code))

    return on_call


async def test_a_stateless_server_is_found(server: McpServer, upstream: McpHttp) -> None:
    """Method, name and marked arguments are mirrored; there is no session."""
    server.stateless, server.session = True, ""
    await upstream.call(call(b'{"x":"eu"}'), nothing)
    (received,) = server.heard("tools/call")
    expected = {
        "mcp-protocol-version": "2026-07-28",
        "mcp-method": "tools/call",
        "mcp-name": "echo",
        "mcp-param-x": "eu",
        "mcp-session-id": None,
    }
    assert {name: received.header(name) for name in expected} == expected
    assert "_meta" in json.loads(received.body)["params"]


async def test_other_methods_are_named_too(server: McpServer, upstream: McpHttp) -> None:
    """A resource by its URI; nothing of a tool's marks."""
    server.stateless, server.session = True, ""
    read = UpstreamCall(
        ToolManifest("s", "resources/read", Effect.READ),
        b'{"uri":"a://b"}',
        5,
        method="resources/read",
    )
    assert (await upstream.call(read, nothing)).result == b'{"contents": []}'
    (received,) = server.heard("resources/read")
    assert received.header("mcp-name") == "a://b"
    assert received.header("mcp-method") == "resources/read"
    assert json.loads(received.body)["params"]["uri"] == "a://b"


@pytest.mark.parametrize("era", list(Era))
async def test_a_call_goes_in_its_clients_era(
    era: Era, server: McpServer, upstream: McpHttp
) -> None:
    """Where the server speaks both; definitions come from the preferred one."""
    server.both = True
    await upstream.definitions()
    await upstream.call(replace(call(), conversation=Client(era)), nothing)
    (received,) = server.heard("tools/call")
    assert (received.header("mcp-method") is None) == (era is Era.HANDSHAKE)
    assert server.heard("tools/list")[0].header("mcp-method") is None


async def test_a_tool_with_a_wrong_mark_does_not_exist(
    server: McpServer, make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For a server that would compare its headers; any other may write there what it likes."""
    wrong = {"properties": {"x": {"type": "number", "x-mcp-header": "X"}}}
    tools = {"tools": [{"name": "odd", "inputSchema": wrong}]}
    monkeypatch.setitem(RESULTS, "tools/list", tools)
    assert len(await McpHttp("s", make_client("/mcp")).definitions()) == 1
    server.stateless = True
    assert await McpHttp("s", make_client("/mcp")).definitions() == ()


@pytest.mark.parametrize("code", [-32020, -32022])
async def test_a_server_that_changed_is_asked_anew(
    code: int, server: McpServer, upstream: McpHttp
) -> None:
    """Headers that do not match, a version it no longer speaks: the next call knows better."""
    server.stateless = True

    async def changed(message: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        writer.write(server.reply(message, error={"code": code, "message": "changed"}))

    server.on_call = changed
    assert (await upstream.call(call(), nothing)).is_rpc_error
    server.on_call = None
    await upstream.call(call(), nothing)
    assert len(server.heard("server/discover")) == len(server.heard("tools/list")) == 2


async def test_a_server_that_became_another_one_is_asked_anew(
    server: McpServer, upstream: McpHttp
) -> None:
    """It knew sessions, and was replaced by one that knows none."""
    await upstream.call(call(), nothing)
    server.on_call = status(404)
    with pytest.raises(UpstreamFailed):
        await upstream.call(call(), nothing)
    server.on_call, server.stateless, server.session = None, True, ""
    with pytest.raises(UpstreamFailed):
        await upstream.call(call(), nothing)
    await upstream.call(call(), nothing)
    assert server.heard("tools/call")[-1].header("mcp-method") == "tools/call"


async def test_the_marks_are_asked_for_once(server: McpServer, upstream: McpHttp) -> None:
    """Definitions give them; a call asks only when they were never asked for."""
    server.stateless = True
    await upstream.definitions()
    for _ in range(2):
        await upstream.call(call(b'{"x":"eu"}'), nothing)
    assert len(server.heard("tools/list")) == 1


async def test_a_stateless_tool_that_is_not_listed_is_called_without_marks(
    server: McpServer, upstream: McpHttp
) -> None:
    """The server then says what it thinks of it."""
    server.stateless = True
    other = UpstreamCall(ToolManifest("s", "other", Effect.READ), b"{}", 5)
    await upstream.call(other, nothing)
    assert server.heard("tools/call")[0].header("mcp-name") == "other"


@pytest.mark.parametrize("code", [400, 404, 405, 406, 415, 422])
async def test_a_bare_refusal_of_the_handshake_may_mean_the_other_era(
    code: int, server: McpServer, upstream: McpHttp
) -> None:
    """Not every server answers in JSON-RPC."""
    server.stateless = True
    usual = server.handle

    async def handle(received: Received, writer: asyncio.StreamWriter) -> None:
        if b"initialize" in received.body:
            writer.write(answer(b"no", code))
        else:
            await usual(received, writer)

    server.wire.handler = handle
    await upstream.start()
    assert len(server.heard("server/discover")) == 1
