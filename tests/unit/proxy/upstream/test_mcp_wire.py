"""What both MCP transports share."""

import json
from typing import Any

import pytest

from proxy.errors import OutcomeUnknown, UpstreamFailed
from proxy.model.mcp import Era
from proxy.upstream.jsonrpc import Message, RpcError
from proxy.upstream.mcp_wire import (
    MAX_PAGES,
    Spoken,
    agree,
    call_params,
    cancelled_params,
    list_tools,
    params,
    result_of,
)

BOTH = (Era.HANDSHAKE, Era.STATELESS)


class Server:
    """Answers by method; keeps what it was told."""

    def __init__(self, **results: Any) -> None:
        self.results = results
        self.asked: list[str] = []
        self.told: list[str] = []

    async def ask(self, _: Spoken | None, method: str, asked: bytes, /) -> Message:
        self.asked.append(method)
        name = method.rpartition("/")[2]
        if name in self.results:
            return Message(1, result=self.results[name])
        return Message(1, error=RpcError(-32601, "no"))

    async def tell(self, _: Spoken, method: str, /) -> None:
        self.told.append(method)


@pytest.mark.parametrize("version", ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"])
async def test_a_handshake_settles_on_the_servers_version(version: str) -> None:
    """The server may choose an older one, and is told that we are ready."""
    server = Server(initialize={"protocolVersion": version})
    assert await agree(server, BOTH) == Spoken(Era.HANDSHAKE, version)
    assert server.told == ["notifications/initialized"]


async def test_the_next_era_is_tried() -> None:
    """A server that knows no initialize is asked what it supports."""
    server = Server(discover={"supportedVersions": ["2026-07-28", "2027-01-01"]})
    assert await agree(server, BOTH) == Spoken(Era.STATELESS, "2026-07-28")
    assert (server.asked, server.told) == (["initialize", "server/discover"], [])


@pytest.mark.parametrize(
    "results",
    [
        {},
        {"initialize": {"protocolVersion": "2026-07-28"}},
        {"initialize": {"protocolVersion": ["2025-11-25"]}},
        {"initialize": [], "discover": []},
        {"discover": {"supportedVersions": "2026-07-28"}},
        {"discover": {"supportedVersions": ["2027-01-01"]}},
    ],
)
async def test_a_server_of_unknown_versions_failed(results: dict[str, Any]) -> None:
    """No version of ours, or no answer that is one."""
    with pytest.raises(UpstreamFailed, match="version"):
        await agree(Server(**results), BOTH)


def test_a_stateless_request_describes_itself() -> None:
    """Version, capabilities and client in each; a handshake said them once."""
    meta = json.loads(params(Era.STATELESS, b'"a":1'))
    assert meta["a"] == 1
    assert meta["_meta"]["io.modelcontextprotocol/protocolVersion"] == "2026-07-28"
    assert meta["_meta"]["io.modelcontextprotocol/clientInfo"]["name"] == "detent"
    assert (params(Era.HANDSHAKE), params(Era.HANDSHAKE, b'"a":1')) == (b"{}", b'{"a":1}')


@pytest.mark.parametrize("era", BOTH)
def test_arguments_are_spliced_into_a_call(era: Era) -> None:
    """Byte for byte; a name cannot break out of its string."""
    made = call_params(era, 'a","arguments":{"x":1}', b'{"b":1e+21}')
    assert b'"arguments":{"b":1e+21}' in made
    assert json.loads(made)["name"] == 'a","arguments":{"x":1}'
    assert json.loads(cancelled_params(era, 7))["requestId"] == 7


@pytest.mark.parametrize(
    "result",
    [
        None,
        {},
        {"tools": {}},
        {"tools": [], "nextCursor": 1},
        {"tools": [], "nextCursor": "same"},
        {"tools": [{}] * 10_001, "nextCursor": "a"},
    ],
)
async def test_a_list_that_is_none_failed(result: Any) -> None:
    """No list, a cursor that is none or comes again, too many tools."""

    async def ask(method: str, asked: bytes) -> Message:
        return Message(1, result=result)

    with pytest.raises(UpstreamFailed, match="list"):
        await list_tools("s", Era.HANDSHAKE, ask)


async def test_pages_are_bounded() -> None:
    """A list that goes on for ever is given up."""
    pages: list[bytes] = []

    async def ask(method: str, asked: bytes) -> Message:
        pages.append(asked)
        return Message(1, result={"tools": [], "nextCursor": str(len(pages))})

    with pytest.raises(UpstreamFailed, match="end"):
        await list_tools("s", Era.STATELESS, ask)
    assert len(pages) == MAX_PAGES
    assert b'"cursor":"1","_meta":' in pages[1]


async def test_an_error_instead_of_a_list_failed() -> None:
    """Its code is told, its text is not."""

    async def ask(method: str, asked: bytes) -> Message:
        return Message(1, error=RpcError(-32603, "s3cret"))

    with pytest.raises(UpstreamFailed, match=r"error -32603") as failed:
        await list_tools("s", Era.HANDSHAKE, ask)
    assert "s3cret" not in str(failed.value)


@pytest.mark.parametrize(
    ("result", "is_error"),
    [
        ({"content": []}, False),
        ({"isError": False}, False),
        ({"isError": True, "content": [{"type": "text", "text": "é"}]}, True),
        ({"isError": "yes"}, False),
        ({"resultType": "complete"}, False),
    ],
)
def test_a_result_is_passed_on(result: dict[str, Any], is_error: bool) -> None:
    """Whole, and with its own word on whether it failed."""
    made = result_of(Message(1, result=result))
    assert (json.loads(made.result), made.is_error) == (result, is_error)


def test_an_error_becomes_a_result() -> None:
    """So that the model can read it."""
    made = result_of(Message(1, error=RpcError(-32602, "unknown tool")))
    assert json.loads(made.result)["content"] == [{"type": "text", "text": "unknown tool"}]
    assert made.is_error


@pytest.mark.parametrize(
    ("result", "problem"),
    [({"resultType": "input_required"}, UpstreamFailed), ([], OutcomeUnknown)],
)
def test_results_that_are_none(result: Any, problem: type[Exception]) -> None:
    """A wish for more input has had no effect; nonsense may have."""
    with pytest.raises(problem):
        result_of(Message(1, result=result))
