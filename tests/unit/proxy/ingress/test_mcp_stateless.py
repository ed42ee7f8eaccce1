import asyncio
import json
from typing import Any

import pytest
from starlette.types import ASGIApp

from proxy.model.ledger import Outcome
from proxy.model.mcp import Era, RpcReply
from proxy.model.step import Answer
from proxy.upstream.conversation import Conversation
from tests.harness.asgi import until
from tests.harness.doors import (
    RecordingGate,
    tool,
)
from tests.harness.mcp_requests import CAPABLE, METHODS, TOOL, meta_with, post, request


@pytest.fixture
def gate() -> RecordingGate:
    return RecordingGate(methods=METHODS)


async def test_discovery_names_what_the_manifest_offers(app: ASGIApp) -> None:
    """Of one server, or of all."""
    result = (await post(app, {}, "server/discover")).json["result"]
    assert set(result["capabilities"]) == {"tools", "resources", "prompts", "completions"}
    other = (await post(app, {}, "server/discover", path="/mcp/other")).json["result"]
    assert set(other["capabilities"]) == {"tools"}


async def test_a_call_tells_servers_who_its_client_is(gate: RecordingGate, app: ASGIApp) -> None:
    """By the session of the caller, the capabilities and the wishes of the request."""
    known: list[Any] = []

    async def meanwhile(client: Conversation) -> None:
        known.append((client.era, client.session, client.capabilities))
        known.append((client.wants_progress, client.log_level))

    gate.meanwhile = meanwhile
    level = {"io.modelcontextprotocol/logLevel": "error"}
    await post(app, TOOL | {"_meta": meta_with(**level, progressToken=7)})
    assert known == [(Era.STATELESS, "ses_loop", CAPABLE), (True, "error")]


async def test_what_a_server_tells_makes_a_stream(gate: RecordingGate, app: ASGIApp) -> None:
    """Frame by frame, while the call runs; the result is the last event."""
    gate.hold = asyncio.Event()

    async def meanwhile(client: Conversation) -> None:
        await client.tell("notifications/progress", b'{"progressToken":9,"progress":1}')

    gate.meanwhile = meanwhile
    connection = request(app, TOOL | {"_meta": meta_with(progressToken="mine")})
    (told,) = await connection.heard(1)
    assert told["params"] == {"progressToken": "mine", "progress": 1}
    gate.hold.set()
    events = (await connection.ended()).events
    assert connection.headers["content-type"] == "text/event-stream"
    assert events[1]["result"]["resultType"] == "complete"


@pytest.mark.parametrize("method", ["completion/complete", "x/y"])
async def test_other_methods_have_one_round(gate: RecordingGate, app: ASGIApp, method: str) -> None:
    """Their servers hear that nobody answers; what they tell comes as events."""
    replies: list[RpcReply] = []

    async def meanwhile(client: Conversation) -> None:
        await client.tell("notifications/vendor", b"{}")
        replies.append(await client.ask("elicitation/create", b"{}"))

    gate.meanwhile = meanwhile
    params = {"ref": {"type": "ref/prompt", "name": "rec__p"}} if method != "x/y" else {}
    connection = await request(app, params, method).ended()
    assert [event.get("method") for event in connection.events] == ["notifications/vendor", None]
    assert b"-32601" in (replies[0].error or b"")


@pytest.mark.parametrize(
    ("code", "status"), [(-32601, 404), (-32602, 400), (-32021, 400), (-32603, 200), (7, 200)]
)
async def test_a_servers_error_keeps_its_status(
    gate: RecordingGate, app: ASGIApp, code: int, status: int
) -> None:
    """Those the revision gives one."""
    raw = json.dumps({"code": code, "message": "x"}).encode()
    gate.answer = lambda _: Answer("s", "allow", (), Outcome.DONE, result=raw, is_rpc_error=True)
    reply = await post(app, {"uri": "rec+f:x"}, "resources/read")
    assert (reply.status, reply.json["error"]["code"]) == (status, code)


@pytest.mark.parametrize(
    "method",
    ["initialize", "ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe"],
)
async def test_methods_of_the_other_era_are_not_there(
    gate: RecordingGate, app: ASGIApp, method: str
) -> None:
    """Whatever the manifest has."""
    gate.methods = frozenset({("rec", method)})
    reply = await post(app, {}, method, path="/mcp/rec")
    assert (reply.status, reply.json["error"]["code"], gate.calls) == (404, -32601, [])


MARKED = tool(
    "rec",
    "write",
    inputSchema={
        "type": "object",
        "properties": {"region": {"type": "string", "x-mcp-header": "Region"}},
    },
)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"mcp-param-region": "eu"}, 200),
        ({}, 400),
        ({"mcp-param-region": "us"}, 400),
        ({"mcp-param-region": "eu", "mcp-param-other": "x"}, 400),
    ],
)
async def test_marked_arguments_are_in_their_headers(
    gate: RecordingGate, app: ASGIApp, headers: dict[str, str], status: int
) -> None:
    """As the pinned schema marks them; otherwise nothing is run."""
    gate.tools = (MARKED,)
    params = {"name": "rec__write", "arguments": {"region": "eu"}}
    reply = await post(app, params, headers=headers)
    assert (reply.status, len(gate.calls)) == (status, int(status == 200))
    if status != 200:
        assert reply.json["error"]["code"] == -32020


@pytest.mark.parametrize(
    ("method", "params"), [("x/y", {}), ("resources/read", {"uri": "rec+f:x"})]
)
async def test_other_methods_have_no_such_headers(
    app: ASGIApp, method: str, params: dict[str, Any]
) -> None:
    """One that comes all the same says what the body does not."""
    reply = await post(app, params, method, {"mcp-param-region": "eu"})
    assert (reply.status, reply.json["error"]["code"]) == (400, -32020)


@pytest.mark.parametrize(
    "meta",
    [
        {"io.modelcontextprotocol/clientCapabilities": []},
        {"io.modelcontextprotocol/logLevel": "loud"},
        {"io.modelcontextprotocol/logLevel": 1},
        {"progressToken": 1.5},
        {"progressToken": True},
    ],
)
async def test_what_a_client_says_of_itself_has_its_form(
    gate: RecordingGate, app: ASGIApp, meta: dict[str, Any]
) -> None:
    """Otherwise the request is invalid."""
    reply = await post(app, TOOL | {"_meta": meta_with() | meta})
    assert (reply.status, reply.json["error"]["code"], gate.calls) == (400, -32602, [])


async def test_closing_the_request_cancels_the_call(gate: RecordingGate, app: ASGIApp) -> None:
    """And nothing is answered to nobody, whatever the method."""
    for params, method in ((TOOL, "tools/call"), ({}, "x/y")):
        gate.hold, gate.calls, gate.cancelled = asyncio.Event(), [], []
        connection = request(app, params, method)
        await until(lambda: gate.calls)
        await connection.close()
        assert (gate.cancelled, connection.sent) == (gate.calls, [])


async def test_a_call_that_nobody_waits_for_any_more_is_cancelled(
    gate: RecordingGate, app: ASGIApp
) -> None:
    """When the process stops serving, its calls settle."""
    gate.hold = asyncio.Event()
    connection = request(app, TOOL)
    await until(lambda: gate.calls)
    assert connection.serving is not None
    connection.serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await connection.serving
    assert gate.cancelled == gate.calls
