"""MCP over streamable HTTP: refusals, time-outs, cancellations and the end."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from proxy.egress.addresses import AddressPolicy
from proxy.egress.client import EgressClient, EgressLimits
from proxy.errors import OutcomeUnknown, Refused, UpstreamFailed
from proxy.model.tool import Effect, ToolManifest
from proxy.upstream.base import UpstreamCall
from proxy.upstream.mcp_http import McpHttp
from tests.harness.mcp_on_wire import McpServer
from tests.harness.wire import Received, Wire

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
    await server.until("tools/call")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await server.until("notifications/cancelled")
    number = json.loads(server.heard("tools/call")[0].body)["id"]
    (told,) = server.heard("notifications/cancelled")
    assert json.loads(told.body)["params"]["requestId"] == number
    assert told.header("mcp-session-id") == "session-1"


async def test_a_late_call_is_told_and_unknown(server: McpServer, upstream: McpHttp) -> None:
    """The time-out of the call is its own."""
    server.on_call = silence
    with pytest.raises(OutcomeUnknown, match="in time"):
        await upstream.call(call(timeout_s=1), nothing)
    assert len(await server.until("notifications/cancelled")) == 1


async def test_a_stateless_call_is_cancelled_by_closing(
    server: McpServer, upstream: McpHttp
) -> None:
    """There is no notification from client to server in that era."""
    server.stateless = True
    server.on_call = silence
    with pytest.raises(OutcomeUnknown):
        await upstream.call(call(timeout_s=1), nothing)
    await server.wire.closed.wait()
    assert server.heard("notifications/cancelled") == []


async def test_a_call_cancelled_before_it_left_is_not_told(server: McpServer) -> None:
    """The server has never heard of it: it was waiting for a connection."""
    url, policy = server.wire.url + "/mcp", AddressPolicy(allow_private=True)
    upstream = McpHttp("s", EgressClient(url, policy, EgressLimits(connections=1)))
    await upstream.start()
    server.on_call = silence
    first = asyncio.create_task(upstream.call(call(), nothing))
    await server.until("tools/call")
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
        await upstream.call(call(timeout_s=1), nothing)


async def test_stop_ends_the_session(server: McpServer, upstream: McpHttp) -> None:
    """And closes the connections."""
    await upstream.start()
    await upstream.stop()
    assert server.wire.requests[-1].line.startswith("DELETE /mcp")


async def test_stop_without_a_start(upstream: McpHttp, wire: Wire) -> None:
    """Nothing is sent."""
    await upstream.stop()
    assert wire.bytes_seen == 0


async def test_every_call_that_is_cut_is_told(server: McpServer, upstream: McpHttp) -> None:
    """Also when there are many at once."""
    server.on_call = silence
    tasks = [asyncio.create_task(upstream.call(call(), nothing)) for _ in range(80)]
    await server.until("tools/call", len(tasks))
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    await upstream.stop()
    assert len(server.heard("notifications/cancelled")) == len(tasks)
