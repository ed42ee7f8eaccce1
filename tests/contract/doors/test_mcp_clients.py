"""The official Python client against the agents' port, in both eras.

Served as the gateway serves it (uvicorn, httptools, uvloop, a loopback socket), with a recording
pipeline behind it.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import httpx2
import pytest
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.client.subscriptions import SubscriptionLost
from mcp.shared.exceptions import MCPError
from mcp_types import RequestParamsMeta, TextContent

from proxy.model.call import Door, ToolCall
from proxy.model.ledger import Outcome
from proxy.model.step import Answer
from tests.harness.agents_port import AgentsPort
from tests.harness.doors import OTHER_TOKEN, TOKEN, refused, tool

ERAS = ["auto", "2026-07-28", "legacy"]
DRY_RUN = cast("RequestParamsMeta", {"io.detent/dry_run": True})
SPOKEN = {"auto": "2026-07-28", "2026-07-28": "2026-07-28", "legacy": "2025-11-25"}


@pytest.fixture
def port(agents_port: AgentsPort) -> AgentsPort:
    return agents_port


@asynccontextmanager
async def client(
    port: AgentsPort, mode: Any, path: str = "/mcp", token: str = TOKEN
) -> AsyncIterator[Client]:
    headers = {"Authorization": f"Bearer {token}"}
    async with (
        httpx2.AsyncClient(headers=headers) as http,
        Client(streamable_http_client(port.url + path, http_client=http), mode=mode) as client,
    ):
        yield client


def text_of(result: Any) -> str:
    (block,) = result.content
    assert isinstance(block, TextContent)
    return block.text


@pytest.mark.parametrize("mode", ERAS)
@pytest.mark.parametrize(("path", "prefix"), [("/mcp", "rec__"), ("/mcp/rec", "")])
async def test_a_client_lists_and_calls(
    port: AgentsPort, mode: str, path: str, prefix: str
) -> None:
    """The pipeline gets one canonical call, the client the tool's own result."""
    async with client(port, mode, path) as mcp:
        assert mcp.protocol_version == SPOKEN[mode]
        listed = await mcp.list_tools()
        assert f"{prefix}write" in {shown.name for shown in listed.tools}
        result = await mcp.call_tool(f"{prefix}write", {"text": "é", "n": 1.0})
    expected = ToolCall("rec", "write", '{"n":1,"text":"é"}'.encode(), Door.MCP)
    assert port.gate.calls == [expected]
    assert text_of(result) == '{"n":1,"text":"é"}'
    assert (result.is_error, (result.meta or {})["io.detent/step_id"]) == (False, "stp_1")


@pytest.mark.parametrize("mode", ERAS)
async def test_a_denial_is_a_result_the_model_can_read(port: AgentsPort, mode: str) -> None:
    """Not an exception: it has reasons and a cure."""
    port.gate.answer = refused("budget-exhausted")
    async with client(port, mode) as mcp:
        result = await mcp.call_tool("rec__write", {})
    assert result.is_error
    assert "budget-exhausted" in text_of(result)


@pytest.mark.parametrize("mode", ERAS)
async def test_a_kill_is_a_protocol_error(port: AgentsPort, mode: str) -> None:
    """With its code and its reasons."""
    port.gate.answer = refused("killed")
    async with client(port, mode) as mcp:
        with pytest.raises(MCPError) as error:
            await mcp.call_tool("rec__write", {})
    assert error.value.code == -32011
    assert error.value.error.data["reasons"][0]["id"] == "killed"


@pytest.mark.parametrize("mode", ERAS)
async def test_a_malformed_call_is_a_protocol_error(port: AgentsPort, mode: str) -> None:
    """A name of no valid form is refused before it is a call."""
    async with client(port, mode) as mcp:
        with pytest.raises(MCPError) as error:
            await mcp.call_tool("wr ite", {})
    assert error.value.code == -32602
    assert port.gate.calls == []


@pytest.mark.parametrize("mode", ERAS)
async def test_a_dry_run_answers_with_its_preview(port: AgentsPort, mode: str) -> None:
    """Asked for in `_meta`, answered as structured content."""
    preview = {"arguments_sha256": "00"}
    port.gate.answer = lambda _: Answer("s", "allow", (), Outcome.DRY_RUN, preview=preview)
    async with client(port, mode) as mcp:
        result = await mcp.call_tool("rec__write", {}, meta=DRY_RUN)
    assert (result.is_error, result.structured_content) == (False, preview)
    assert port.gate.calls[0].dry_run


@pytest.mark.parametrize("mode", ERAS)
async def test_an_http_tools_result_fits_both_eras(port: AgentsPort, mode: str) -> None:
    """Its status and body are structured content."""
    raw = b'{"status":201,"body":{"id":7}}'
    port.gate.tools = (tool("rec", "write"),)
    port.gate.answer = lambda _: Answer("s", "allow", (), Outcome.DONE, result=raw)
    async with client(port, mode) as mcp:
        result = await mcp.call_tool("rec__write", {})
    assert result.structured_content == json.loads(raw)


@pytest.mark.parametrize("mode", ERAS)
async def test_an_abandoned_call_is_cancelled(port: AgentsPort, mode: str) -> None:
    """By a notification in the one era, by closing the request in the other."""
    port.gate.hold = asyncio.Event()
    async with client(port, mode) as mcp:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(mcp.call_tool("rec__write", {}), 0.3)
        async with asyncio.timeout(5):
            while not port.gate.cancelled:
                await asyncio.sleep(0.01)
        # The client library raises when an answer comes while it closes; ours is on its way.
        await asyncio.sleep(0.1)
    assert port.gate.cancelled == port.gate.calls


@pytest.mark.parametrize("mode", ERAS)
async def test_a_stranger_gets_nowhere(port: AgentsPort, mode: str) -> None:
    """In no mode does a client without a valid token see a tool."""
    with pytest.RaisesGroup(MCPError, flatten_subgroups=True, allow_unwrapped=True):
        async with client(port, mode, token="dta_wrong") as mcp:
            await mcp.list_tools()


async def test_a_subscription_is_acknowledged_and_ends_with_a_kill(port: AgentsPort) -> None:
    """The stream of the stateless era."""
    async with client(port, "2026-07-28") as mcp, mcp.listen(tools_list_changed=True) as events:
        (closing,) = port.gate.streams
        closing.set()
        with pytest.raises(SubscriptionLost):
            await asyncio.wait_for(anext(aiter(events)), 5)
    assert port.gate.streams == []


async def test_many_clients_with_the_same_ids_get_their_own_answers(port: AgentsPort) -> None:
    """Request ids mean nothing across clients."""

    async def one(number: int, mode: str, token: str) -> bool:
        async with client(port, mode, token=token) as mcp:
            result = await mcp.call_tool("rec__write", {"n": number})
            return text_of(result) == f'{{"n":{number}}}'

    tokens = (TOKEN, OTHER_TOKEN)
    runs = [one(n, ERAS[n % 3], tokens[n % 2]) for n in range(12)]
    assert all(await asyncio.gather(*runs))
