"""MCP over streamable HTTP: sessions and calls."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from proxy.egress.client import EgressClient
from proxy.errors import OutcomeUnknown, UpstreamFailed
from proxy.model.mcp import Era
from proxy.model.tool import Effect, ToolManifest
from proxy.upstream.base import UpstreamCall
from proxy.upstream.mcp_http import McpHttp
from tests.harness.mcp_on_wire import McpServer
from tests.harness.wire import Received, Wire, answer

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


@pytest.mark.parametrize("sse", [False, True])
async def test_a_session_is_opened_and_kept(
    sse: bool, server: McpServer, upstream: McpHttp
) -> None:
    """One handshake, then every request carries its id and the server's version."""
    server.sse = sse
    await upstream.start()
    for _ in range(2):
        await upstream.call(call(), nothing)
    assert len(server.heard("initialize")) == len(server.heard("notifications/initialized")) == 1
    later = server.heard("tools/call") + server.heard("notifications/initialized")
    assert {one.header("mcp-session-id") for one in later} == {"session-1"}
    assert {one.header("mcp-protocol-version") for one in later} == {"2025-06-18"}
    assert server.heard("initialize")[0].header("mcp-session-id") is None
    assert {one.header("x-key") for one in server.wire.requests} == {"static"}


async def test_arguments_are_spliced_in(server: McpServer, upstream: McpHttp) -> None:
    """The canonical bytes arrive as they are."""
    arguments = '{"a":1e+21,"b":"é\\""}'.encode()
    await upstream.call(call(arguments), nothing)
    expected = b'"params":{"name":"echo","arguments":' + arguments + b"}}"
    assert server.heard("tools/call")[0].body.endswith(expected)


async def test_a_lease_goes_with_its_call_only(server: McpServer, upstream: McpHttp) -> None:
    """Before the static headers, and not with the next call."""
    lease = {"Authorization": "Bearer s3cret", "X-Key": "lent"}
    await upstream.call(replace(call(), headers=lease), nothing)
    await upstream.call(call(), nothing)
    first, second = server.heard("tools/call")
    assert (first.header("authorization"), first.header("x-key")) == ("Bearer s3cret", "lent")
    assert (second.header("authorization"), second.header("x-key")) == (None, "static")
    assert server.heard("initialize")[0].header("authorization") is None


@pytest.mark.parametrize(
    "given",
    [
        answer(b"", 401),
        answer(b"", 403),
        answer(b"", 307, location="/"),
        answer(b"", 500),
        answer(b"{}", content_encoding="gzip"),
        answer(b'{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"1999-01-01"}}'),
        answer(
            b'{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-06-18"}}',
            mcp_session_id="a b",
        ),
    ],
)
async def test_a_handshake_that_fails(given: bytes, wire: Wire, upstream: McpHttp) -> None:
    """Start and calls failed, and no call is sent."""

    async def handle(received: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(given)

    wire.handler = handle
    with pytest.raises(UpstreamFailed):
        await upstream.start()
    with pytest.raises(UpstreamFailed):
        await upstream.call(call(), nothing)
    assert not any(b"tools/call" in one.body for one in wire.requests)


async def test_a_start_that_failed_is_made_up_for_by_a_call(
    server: McpServer, upstream: McpHttp
) -> None:
    """The server may have come back in between."""
    server.wire.handler = None
    with pytest.raises(UpstreamFailed):
        await upstream.start()
    server.wire.handler = server.handle
    await upstream.call(call(), nothing)


async def test_many_calls_share_one_handshake(server: McpServer, upstream: McpHttp) -> None:
    """Whoever comes second waits for the first one's."""
    await asyncio.gather(*(upstream.call(call(), nothing) for _ in range(20)))
    assert len(server.heard("initialize")) == 1


async def test_a_session_that_is_over_failed_and_the_next_call_opens_one(
    server: McpServer, upstream: McpHttp
) -> None:
    """A session the server does not know has executed nothing."""
    await upstream.call(call(), nothing)
    server.on_call = status(404)
    with pytest.raises(UpstreamFailed, match="session"):
        await upstream.call(call(), nothing)
    server.on_call, server.session = None, "session-2"
    await upstream.call(call(), nothing)
    assert server.heard("tools/call")[-1].header("mcp-session-id") == "session-2"


async def test_an_old_session_does_not_end_a_new_one(server: McpServer, upstream: McpHttp) -> None:
    """A late word on the session before does not cost the one after."""
    late = asyncio.Event()

    async def over(message: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        if len(server.heard("tools/call")) == 1:
            await late.wait()
        writer.write(answer(b"", 404))

    server.on_call = over
    first = asyncio.create_task(upstream.call(call(), nothing))
    await server.until("tools/call")
    with pytest.raises(UpstreamFailed):
        await upstream.call(call(), nothing)
    await upstream.definitions()
    late.set()
    with pytest.raises(UpstreamFailed):
        await first
    server.on_call = None
    await upstream.call(call(), nothing)
    assert len(server.heard("initialize")) == 2


@pytest.mark.parametrize(
    ("effect", "problem"), [(Effect.READ, UpstreamFailed), (Effect.WRITE, OutcomeUnknown)]
)
async def test_a_server_error_depends_on_the_effect(
    effect: Effect, problem: type[Exception], server: McpServer, upstream: McpHttp
) -> None:
    """A read that failed has changed nothing."""
    server.on_call = status(503)
    with pytest.raises(problem):
        await upstream.call(call(effect=effect), nothing)


async def test_definitions_are_pinned(server: McpServer, upstream: McpHttp) -> None:
    """As the server gives them; a list that does not come failed."""
    (made,) = await upstream.definitions()
    assert (made.name, made.pin[:7]) == ("echo", "sha256:")
    server.wire.handler = None
    with pytest.raises(UpstreamFailed):
        await upstream.definitions()


@pytest.mark.parametrize("path", ["/mcp", "/mcp/", "/", ""])
async def test_the_path_is_the_configured_one(
    path: str, server: McpServer, make_client: MakeClient
) -> None:
    """With and without a trailing slash."""
    upstream = McpHttp("s", make_client(path), eras=(Era.HANDSHAKE,))
    await upstream.start()
    assert {one.target for one in server.wire.requests} == {path or "/"}


async def test_a_list_is_asked_for_again_when_the_session_is_over(
    server: McpServer, upstream: McpHttp
) -> None:
    """A server that was started anew has its tools at once."""
    usual, sessions = server.handle, ["old"]
    server.session = "old"

    async def handle(received: Received, writer: asyncio.StreamWriter) -> None:
        if received.header("mcp-session-id") == "old" and b"tools/list" in received.body:
            server.session = "new"
            writer.write(answer(b"", 404))
        else:
            sessions.append(server.session)
            await usual(received, writer)

    server.wire.handler = handle
    assert len(await upstream.definitions()) == 1
    assert sessions[-1] == "new"
