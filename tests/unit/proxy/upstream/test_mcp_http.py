"""MCP over streamable HTTP: sessions, eras, calls."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from proxy.egress.addresses import AddressPolicy
from proxy.egress.client import EgressClient, EgressLimits
from proxy.errors import OutcomeUnknown, Refused, UpstreamFailed
from proxy.model.tool import Effect, ToolManifest
from proxy.upstream.base import UpstreamCall
from proxy.upstream.mcp_http import McpHttp
from proxy.upstream.mcp_wire import Era
from tests.harness.wire import Received, Wire, answer
from tests.unit.proxy.upstream.conftest import McpServer

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


def refuse() -> None:
    raise Refused.because("killed")


async def silence(message: dict[str, Any], writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(60)


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
    later = server.wire.requests[1:]
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
    await server.wire.until(3)
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


async def test_what_sending_raises_ends_the_call(server: McpServer, upstream: McpHttp) -> None:
    """Not a byte of the call is sent, nor a cancellation of it."""
    await upstream.start()
    before = server.wire.bytes_seen
    with pytest.raises(Refused):
        await upstream.call(call(), refuse)
    assert server.wire.bytes_seen == before


async def test_a_cancelled_call_is_told(server: McpServer, upstream: McpHttp) -> None:
    """By notifications/cancelled with its number, in its session."""
    server.on_call = silence
    task = asyncio.create_task(upstream.call(call(), nothing))
    await server.wire.until(3)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await server.wire.until(4)
    number = json.loads(server.heard("tools/call")[0].body)["id"]
    (told,) = server.heard("notifications/cancelled")
    assert json.loads(told.body)["params"]["requestId"] == number
    assert told.header("mcp-session-id") == "session-1"


async def test_a_late_call_is_told_and_unknown(server: McpServer, upstream: McpHttp) -> None:
    """The time-out of the call is its own."""
    server.on_call = silence
    with pytest.raises(OutcomeUnknown, match="in time"):
        await upstream.call(call(timeout_s=0.2), nothing)
    await server.wire.until(4)
    assert len(server.heard("notifications/cancelled")) == 1


async def test_a_stateless_call_is_cancelled_by_closing(
    server: McpServer, upstream: McpHttp
) -> None:
    """There is no notification from client to server in that era."""
    server.stateless = True
    server.on_call = silence
    with pytest.raises(OutcomeUnknown):
        await upstream.call(call(timeout_s=0.2), nothing)
    await server.wire.closed.wait()
    assert server.heard("notifications/cancelled") == []


async def test_a_call_cancelled_before_it_left_is_not_told(server: McpServer) -> None:
    """The server has never heard of it: it was waiting for a connection."""
    url, policy = server.wire.url + "/mcp", AddressPolicy(allow_private=True)
    upstream = McpHttp("s", EgressClient(url, policy, EgressLimits(connections=1)))
    await upstream.start()
    server.on_call = silence
    first = asyncio.create_task(upstream.call(call(), nothing))
    await server.wire.until(3)
    second = asyncio.create_task(upstream.call(call(), nothing))
    await asyncio.sleep(0.05)
    second.cancel()
    await asyncio.wait({second})
    first.cancel()
    await asyncio.wait({first})
    await upstream.stop()
    (told,) = server.heard("notifications/cancelled")
    number = json.loads(server.heard("tools/call")[0].body)["id"]
    assert json.loads(told.body)["params"]["requestId"] == number


async def test_a_handshake_that_hangs_failed_in_the_calls_time(
    server: McpServer, upstream: McpHttp
) -> None:
    """The call is not held longer than it may take."""

    async def hang(received: Received, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)

    server.wire.handler = hang
    with pytest.raises(UpstreamFailed, match="in time"):
        await upstream.call(call(timeout_s=0.2), nothing)


async def test_stop_ends_the_session(server: McpServer, upstream: McpHttp) -> None:
    """And closes the connections."""
    await upstream.start()
    await upstream.stop()
    assert server.wire.requests[-1].line.startswith("DELETE /mcp")


async def test_stop_without_a_start(upstream: McpHttp, wire: Wire) -> None:
    """Nothing is sent."""
    await upstream.stop()
    assert wire.bytes_seen == 0


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
