"""What both MCP transports share."""

import json
from typing import Any

import pytest

from proxy.errors import OutcomeUnknown, UpstreamFailed
from proxy.model.mcp import Era
from proxy.upstream.jsonrpc import Message, RpcError
from proxy.upstream.mcp_wire import (
    MAX_PAGES,
    STATELESS,
    Spoken,
    agree,
    cancelled_params,
    discover,
    initialize,
    initialize_params,
    list_tools,
    params,
    protocol_meta,
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


def test_a_stateless_request_tells_what_its_client_can_do() -> None:
    """The capabilities as declared, beside version and name."""
    meta = protocol_meta({"sampling": {"tools": {}}})
    assert json.loads(meta["io.modelcontextprotocol/clientCapabilities"]) == {
        "sampling": {"tools": {}}
    }
    assert len(meta) == 3


def test_a_handshake_tells_what_its_client_can_do() -> None:
    """Once, for the session."""
    asked = json.loads(initialize_params({"roots": {}}))
    assert (asked["protocolVersion"], asked["capabilities"]) == ("2025-11-25", {"roots": {}})


@pytest.mark.parametrize("era", BOTH)
def test_a_cancellation_names_its_request(era: Era) -> None:
    """By its number."""
    assert json.loads(cancelled_params(era, 7))["requestId"] == 7


async def test_each_way_can_be_asked_alone() -> None:
    """A server may speak both."""
    versions = {"supportedVersions": ["2026-07-28", "2025-11-25"]}
    server = Server(initialize={"protocolVersion": "2025-11-25"}, discover=versions)
    assert await initialize(server, {}) == Spoken(Era.HANDSHAKE, "2025-11-25")
    assert await discover(server) == STATELESS
    assert (await initialize(Server(), {}), await discover(Server())) == (None, None)


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
    ("result", "is_error", "needs_input"),
    [
        ({"content": []}, False, False),
        ({"isError": False}, False, False),
        ({"isError": True, "content": [{"type": "text", "text": "é"}]}, True, False),
        ({"isError": "yes"}, False, False),
        ({"resultType": "complete"}, False, False),
        ({"resultType": "input_required", "isError": True}, False, True),
    ],
)
def test_a_result_is_passed_on(result: dict[str, Any], is_error: bool, needs_input: bool) -> None:
    """Whole, with its own word on whether it failed or wants to know more."""
    raw = json.dumps(result).encode()
    made = result_of(Message(1, result=result, raw=raw), Era.STATELESS)
    assert (made.result, made.is_error, made.needs_input) == (raw, is_error, needs_input)
    assert not made.is_rpc_error


@pytest.mark.parametrize(
    ("result", "task_id"),
    [
        ({"resultType": "task", "taskId": "t1", "status": "working"}, "t1"),
        ({"resultType": "task", "taskId": 1}, ""),
        ({"task": {"taskId": "t1", "status": "working"}}, "t1"),
        ({"task": "t1", "content": []}, None),
        ({"resultType": "complete", "taskId": "t1"}, None),
        ({"content": []}, None),
    ],
)
@pytest.mark.parametrize("era", Era)
def test_a_result_may_say_that_a_task_goes_on(
    result: dict[str, Any], task_id: str | None, era: Era
) -> None:
    """In the form of either era; one that is looked at is not created."""
    assert result_of(Message(1, result=result, raw=b"{}"), era).task_id == task_id


def test_before_2026_a_result_wants_nothing() -> None:
    """Servers of the handshake ask by requests."""
    wish = Message(1, result={"resultType": "input_required"}, raw=b"{}")
    assert not result_of(wish, Era.HANDSHAKE).needs_input


def test_an_error_is_passed_on() -> None:
    """As the server wrote it."""
    raw = b'{"code":-32602,"message":"unknown tool","data":1.0}'
    made = result_of(Message(1, error=RpcError(-32602, "unknown tool"), raw=raw), Era.HANDSHAKE)
    assert (made.result, made.is_error, made.is_rpc_error) == (raw, True, True)


def test_a_result_that_is_none_is_unknown() -> None:
    """The call was made; what came back says nothing."""
    with pytest.raises(OutcomeUnknown):
        result_of(Message(1, result=[]), Era.STATELESS)
