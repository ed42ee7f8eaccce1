"""Two gateways on one PostgreSQL: what one of them began with an MCP client, asked of the other."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.conformance.places import fixture
from tests.harness.doors import stateless_headers
from tests.harness.gateway import Gateway
from tests.harness.manifests import ALL_TOOLS, declared, drafted, harmless
from tests.harness.mcp_raw import request, session_of
from tests.harness.mcp_requests import meta_with
from tests.harness.postgres import Server
from tests.harness.world import World

SERVERS = ("handshake", "stateless")
NAME = "test_elicitation"
TOOL = {"name": NAME, "arguments": {"message": "Who are you?"}}
ACCEPTED = {"action": "accept", "content": {"username": "Alice", "email": "a@example.com"}}
Pair = tuple[Gateway, Gateway]
pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pair(tmp_path_factory: pytest.TempPathFactory, postgres: Server) -> AsyncIterator[Pair]:
    """Two with the same ledger, agents and servers: one of either era."""
    async with AsyncExitStack() as stack:
        starting = (stack.enter_async_context(fixture(era)) for era in SERVERS)
        urls = dict(zip(SERVERS, await asyncio.gather(*starting), strict=True))
        url = postgres.new()
        first, second = (
            World(Path(tmp_path_factory.mktemp(name)), "http://127.0.0.1:9")
            for name in ("first", "second")
        )
        first.servers = {
            era: {"mcp": {"url": one}, "allow_private": True} for era, one in urls.items()
        }
        first.tools.clear()
        for era in SERVERS:
            first.tools[era] = harmless(await drafted(first, era)) | await declared(urls[era])
        second.tools, second.servers = first.tools, first.servers
        second.agent_token = first.agent_token
        for world in (first, second):
            world.roles, world.settings = {"tester": {"tools": ALL_TOOLS}}, {"store": url}
        gateways = [await stack.enter_async_context(Gateway(one)) for one in (first, second)]
        yield gateways[0], gateways[1]


async def call(
    gateway: Gateway, server: str, more: Mapping[str, Any] | None = None
) -> tuple[int, Any]:
    """Call the tool that asks, in the stateless era."""
    params = {"_meta": meta_with(), **TOOL, **(more or {})}
    headers = stateless_headers("tools/call", NAME)
    body = request("tools/call", params)
    return await gateway.ask("POST", f"/mcp/{server}", body, headers=headers)


def answers(asked: Any) -> dict[str, Any]:
    """Return what goes into the next round."""
    state, questions = asked["result"]["requestState"], asked["result"]["inputRequests"]
    return {"requestState": state, "inputResponses": dict.fromkeys(questions, ACCEPTED)}


def says_alice(answer: Any) -> bool:
    return "Alice" in answer["result"]["content"][0]["text"]


async def test_any_gateway_goes_on_with_a_call_of_a_stateless_server(pair: Pair) -> None:
    """The state carries all that is needed, and both have the key to it."""
    _, asked = await call(pair[0], "stateless")
    status, answer = await call(pair[1], "stateless", answers(asked))
    assert (status, says_alice(answer)) == (200, True)


async def test_a_call_that_waits_elsewhere_has_to_be_started_again(pair: Pair) -> None:
    """A server with a session asks in the middle of its call, which one gateway holds."""
    _, asked = await call(pair[0], "handshake")
    status, refused = await call(pair[1], "handshake", answers(asked))
    assert (status, refused["error"]["data"]["code"]) == (400, "call-not-waiting")
    assert "start it again" in refused["error"]["message"]
    _, asked_again = await call(pair[1], "handshake")
    status, answer = await call(pair[1], "handshake", answers(asked_again))
    assert (status, says_alice(answer)) == (200, True)


async def test_a_call_that_waits_goes_on_where_it_waits(pair: Pair) -> None:
    """Whoever else was asked in between."""
    _, asked = await call(pair[0], "handshake")
    assert (await call(pair[1], "handshake", answers(asked)))[0] == 400
    status, answer = await call(pair[0], "handshake", answers(asked))
    assert (status, says_alice(answer)) == (200, True)


async def test_a_session_of_another_gateway_is_unknown(pair: Pair) -> None:
    """404, after which a client initializes again (2025-11-25, session management)."""
    path, listing = "/mcp/stateless", request("tools/list", {})
    session = await session_of(pair[0], path)
    assert (await pair[0].ask("POST", path, listing, headers=dict(session)))[0] == 200
    status, refused = await pair[1].ask("POST", path, listing, headers=dict(session))
    assert (status, refused["error"]["data"]["code"]) == (404, "unknown-session")
    again = await session_of(pair[1], path)
    assert (await pair[1].ask("POST", path, listing, headers=dict(again)))[0] == 200
