"""A62 (A21, A22): a header of the agent, or one that frames and routes, rides along."""

from collections.abc import AsyncIterator, Callable
from dataclasses import fields

import pytest

from proxy.egress.addresses import AddressPolicy
from proxy.egress.client import EgressClient
from proxy.errors import UpstreamFailed
from proxy.model.tool import Effect, HttpBinding, Recovery, ToolManifest
from proxy.upstream.base import Upstream, UpstreamCall
from proxy.upstream.http import HttpUpstream
from proxy.upstream.mcp_http import McpHttp
from tests.harness.wire import Received, Wire, answer

WRITE = ToolManifest(
    "tool",
    "write",
    Effect.WRITE,
    recovery=Recovery.IDEMPOTENCY_KEY,
    http=HttpBinding("POST", "/write", body=("a",)),
)
OURS = {"host", "user-agent", "accept", "accept-encoding", "content-type", "content-length"}
ALLOWED = {
    "http": OURS | {"idempotency-key", "authorization"},
    "mcp": OURS | {"mcp-protocol-version", "mcp-method", "mcp-session-id", "authorization"},
}
FRAMING = [
    "Connection",
    "Transfer-Encoding",
    "Content-Length",
    "Host",
    "Upgrade",
    "X-Forwarded-For",
    "Forwarded",
    "Proxy-Authorization",
    "Mcp-Session-Id",
]
Make = Callable[[EgressClient], Upstream]
KINDS: dict[str, Make] = {
    "http": lambda client: HttpUpstream("tool", client, lambda: (WRITE,)),
    "mcp": lambda client: McpHttp("tool", client),
}


async def speak(received: Received, writer: object) -> None:
    """Answer as either kind of server."""
    if b'"initialize"' in received.body:
        result = b'{"protocolVersion":"2025-11-25"}'
    else:
        result = b'{"content":[]}'
    number = received.body.partition(b'"id":')[2].partition(b",")[0] or b"0"
    body = b'{"jsonrpc":"2.0","id":%b,"result":%b}' % (number, result)
    writer.write(answer(body, 200, mcp_session_id="s"))  # type: ignore[attr-defined]  # a stream


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    """Give the tool's server."""
    async with Wire(speak) as server:
        yield server


@pytest.fixture(params=KINDS)
async def kind(request: pytest.FixtureRequest) -> str:
    """Give each kind of tool that is reached over HTTP."""
    return str(request.param)


@pytest.fixture
async def tool(kind: str, wire: Wire) -> AsyncIterator[Upstream]:
    """Give an upstream of that kind."""
    upstream = KINDS[kind](EgressClient(wire.url, AddressPolicy(allow_private=True)))
    yield upstream
    await upstream.stop()


def call(**headers: str) -> UpstreamCall:
    return UpstreamCall(WRITE, b'{"a":1}', 5, headers, "step-1")


def nothing() -> None:
    """Nothing stands against a call."""


async def test_only_known_headers_go_out(kind: str, tool: Upstream, wire: Wire) -> None:
    """Every request of a call, its handshake included, carries ours and the lease's."""
    await tool.call(call(Authorization="Bearer lent"), nothing)
    for received in wire.requests:
        assert received.names <= ALLOWED[kind]
    assert wire.requests[-1].header("authorization") == "Bearer lent"


async def test_without_a_lease_there_is_no_credential(tool: Upstream, wire: Wire) -> None:
    """No call carries what an earlier one was lent."""
    await tool.call(call(Authorization="Bearer lent"), nothing)
    await tool.call(call(), nothing)
    assert wire.requests[-1].header("authorization") is None
    assert all(one.header("cookie") is None for one in wire.requests)


@pytest.mark.parametrize("name", FRAMING)
async def test_framing_and_routing_cannot_be_lent(name: str, tool: Upstream, wire: Wire) -> None:
    """A credential that would smuggle, route or forge is refused; no call is sent."""
    with pytest.raises(UpstreamFailed):
        await tool.call(call(**{name: "x"}), nothing)
    assert not any(b'"a":1' in one.body for one in wire.requests)


def test_a_call_has_no_room_for_the_agents_headers() -> None:
    """What a call carries is named here; its headers are the lease's alone."""
    names = {field.name for field in fields(UpstreamCall)}
    decided_on = {"manifest", "method", "arguments", "extras", "meta", "round"}
    assert names == decided_on | {"timeout_s", "headers", "idempotency_key", "conversation"}
