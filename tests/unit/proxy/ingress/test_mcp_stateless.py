import asyncio
import json
from typing import Any

import pytest
from starlette.types import ASGIApp

from proxy.ingress.jsonrpc import Message
from proxy.ingress.mcp_calls import Exchange
from proxy.ingress.mcp_parked import ParkedCalls, ParkingLimits
from proxy.ingress.mcp_stateless import StatelessEra
from proxy.model.call import ToolCall
from proxy.model.ledger import Outcome
from proxy.model.mcp import Era, RpcReply
from proxy.model.step import Answer
from proxy.upstream.conversation import Conversation
from tests.harness.asgi import Connection, connect, until
from tests.harness.doors import (
    META,
    RecordingGate,
    Reply,
    ask,
    caller_of,
    done,
    request_scope,
    rpc,
    stateless_headers,
    tool,
)

CAPABLE: dict[str, Any] = {"elicitation": {}, "sampling": {}, "roots": {}}
TOOL = {"name": "rec__write", "arguments": {"n": 1}}
FORM = {"message": "name?", "requestedSchema": {"type": "object"}}
ELICIT = {"method": "elicitation/create", "params": FORM}
ACCEPTED = {"action": "accept", "content": {"name": "x"}}
METHODS = frozenset(
    ("rec", method)
    for method in ("tools/call", "resources/read", "prompts/get", "completion/complete", "x/y")
)


@pytest.fixture
def gate() -> RecordingGate:
    return RecordingGate(methods=METHODS)


def meta_with(capabilities: Any = None, **more: Any) -> dict[str, Any]:
    key = "io.modelcontextprotocol/clientCapabilities"
    return META | {key: CAPABLE if capabilities is None else capabilities} | more


def headers_of(method: str, params: dict[str, Any]) -> dict[str, str]:
    named = params.get("name", params.get("uri", "")) if method != "x/y" else ""
    return stateless_headers(method, named)


def request(
    app: ASGIApp, params: dict[str, Any], method: str = "tools/call", path: str = "/mcp"
) -> Connection:
    body = rpc(method, {"_meta": meta_with()} | params)
    return connect(app, "POST", path, body, headers_of(method, params))


async def post(
    app: ASGIApp,
    params: dict[str, Any],
    method: str = "tools/call",
    headers: dict[str, str] | None = None,
    path: str = "/mcp",
) -> Reply:
    body = rpc(method, {"_meta": meta_with()} | params)
    return await ask(app, "POST", path, body, headers_of(method, params) | (headers or {}))


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


def wants(requests: Any, state: str | None = "own") -> Any:
    """Answer first rounds with input requests, later ones as done."""
    result = {"resultType": "input_required", "inputRequests": requests}
    if state is not None:
        result["requestState"] = state
    raw = json.dumps(result).encode()

    def answer(call: ToolCall) -> Answer:
        if call.round is not None and call.round.number == 3:
            return done(call)
        return Answer("stp_1", "allow", (), Outcome.INPUT_REQUIRED, result=raw)

    return answer


async def test_a_tools_rounds_are_sealed_and_counted(gate: RecordingGate, app: ASGIApp) -> None:
    """The tool's own state comes back to it; the client never sees it."""
    gate.answer = wants({"k": ELICIT})
    state, states = None, []
    for answers in ({}, {"k": ACCEPTED}, {"k": ACCEPTED, "extra": {}}):
        params = TOOL | ({"inputResponses": answers} if answers else {})
        reply = await post(app, params | ({"requestState": state} if state else {}))
        result = reply.json["result"]
        state = result.get("requestState")
        states.append(state)
    rounds = [call.round for call in gate.calls]
    assert [had and (had.step_id, had.number, had.state) for had in rounds] == [
        None,
        ("stp_1", 2, "own"),
        ("stp_1", 3, "own"),
    ]
    assert rounds[2] is not None
    assert json.loads(rounds[2].responses) == {"k": ACCEPTED, "extra": {}}
    assert (states[2], result["resultType"]) == (None, "complete")
    assert states[0] != states[1]
    assert "own" not in str(states[0])


async def test_a_round_of_a_method_is_the_same(gate: RecordingGate, app: ASGIApp) -> None:
    """Prompts and resources may ask, too."""
    gate.answer = wants({"k": ELICIT}, None)
    prompt = {"name": "rec__p"}
    first = (await post(app, prompt, "prompts/get")).json["result"]
    assert first["inputRequests"] == {"k": ELICIT}
    more = {"inputResponses": {"k": ACCEPTED}, "requestState": first["requestState"]}
    await post(app, prompt | more, "prompts/get")
    assert gate.calls[1].arguments == b'{"name":"p"}'
    assert gate.calls[1].round is not None
    assert gate.calls[1].round.state is None


@pytest.mark.parametrize(
    ("capabilities", "missing"),
    [({}, {"elicitation": {}}), ({"sampling": {}}, {"elicitation": {}}), (CAPABLE, None)],
)
async def test_a_client_gets_only_requests_it_declared(
    gate: RecordingGate, app: ASGIApp, capabilities: Any, missing: Any
) -> None:
    """Otherwise it is told what is missing."""
    gate.answer = wants({"k": ELICIT})
    reply = await post(app, TOOL | {"_meta": meta_with(capabilities)})
    if missing is None:
        assert reply.json["result"]["resultType"] == "input_required"
        return
    assert (reply.status, reply.json["error"]["code"]) == (400, -32021)
    assert reply.json["error"]["data"]["requiredCapabilities"] == missing


@pytest.mark.parametrize("requests", [None, [], {"k": 1}, {"k": {"method": 1}}])
async def test_requests_of_no_known_form_need_no_capability(
    gate: RecordingGate, app: ASGIApp, requests: Any
) -> None:
    """What they are is for the client to say."""
    gate.answer = wants(requests)
    assert (await post(app, TOOL)).json["result"]["inputRequests"] == requests


async def test_a_changed_state_never_reaches_the_tool(gate: RecordingGate, app: ASGIApp) -> None:
    """It is an error, not another round."""
    gate.answer = wants({"k": ELICIT})
    state = (await post(app, TOOL)).json["result"]["requestState"]
    for changed, arguments in ((state + "-TAMPERED", {"n": 1}), (state, {"n": 2})):
        retry = TOOL | {"arguments": arguments, "requestState": changed, "inputResponses": {}}
        reply = await post(app, retry)
        assert (reply.status, reply.json["error"]["code"]) == (400, -32602)
    assert len(gate.calls) == 1


def asking(*methods: str) -> Any:
    """Let a server with a session ask this, one after the other."""

    async def meanwhile(client: Conversation) -> None:
        for method in methods:
            reply = await client.ask(method, json.dumps(FORM).encode())
            await client.tell("notifications/vendor", reply.result or b"{}")

    return meanwhile


def next_round(result: Any, **answers: Any) -> dict[str, Any]:
    keyed = dict.fromkeys(result["inputRequests"], ACCEPTED)
    return TOOL | {"requestState": result["requestState"], "inputResponses": keyed | answers}


async def test_a_question_ends_the_round_and_the_call_waits(
    gate: RecordingGate, app: ASGIApp
) -> None:
    """The next request goes on with it: one call, however many rounds."""
    gate.meanwhile = asking("elicitation/create", "roots/list")
    first = (await post(app, TOOL)).json["result"]
    assert first["resultType"] == "input_required"
    assert list(first["inputRequests"].values()) == [ELICIT]
    second = (await request(app, next_round(first, nobody={})).ended()).events
    assert second[0]["params"] == ACCEPTED
    asked = second[1]["result"]
    assert [had["method"] for had in asked["inputRequests"].values()] == ["roots/list"]
    third = (await request(app, next_round(asked)).ended()).events
    assert third[-1]["result"]["resultType"] == "complete"
    assert len(gate.calls) == 1


async def test_what_a_round_leaves_out_is_asked_again(gate: RecordingGate, app: ASGIApp) -> None:
    """At once, under a new state; the old one is used up."""
    gate.meanwhile = asking("elicitation/create")
    first = (await post(app, TOOL)).json["result"]
    empty = TOOL | {"requestState": first["requestState"], "inputResponses": {}}
    again = (await post(app, empty)).json["result"]
    assert again["inputRequests"] == first["inputRequests"]
    used = await post(app, empty)
    assert (used.status, used.json["error"]["data"]["code"]) == (400, "call-not-waiting")
    await request(app, next_round(again)).ended()
    assert len(gate.calls) == 1


async def test_a_client_that_hangs_up_in_a_later_round_cancels_the_call(
    gate: RecordingGate, app: ASGIApp
) -> None:
    """As it does in the first."""
    gate.meanwhile, gate.hold = asking("elicitation/create"), asyncio.Event()
    first = (await post(app, TOOL)).json["result"]
    connection = request(app, next_round(first))
    await connection.heard(1)
    assert gate.cancelled == []
    await connection.close()
    assert gate.cancelled == gate.calls


async def test_closing_the_request_cancels_the_call(gate: RecordingGate, app: ASGIApp) -> None:
    """And nothing is answered to nobody, whatever the method."""
    for params, method in ((TOOL, "tools/call"), ({}, "x/y")):
        gate.hold, gate.calls, gate.cancelled = asyncio.Event(), [], []
        connection = request(app, params, method)
        await until(lambda: gate.calls)
        await connection.close()
        assert (gate.cancelled, connection.sent) == (gate.calls, [])


async def test_only_so_many_calls_wait(gate: RecordingGate) -> None:
    """One more is cancelled, and its client told."""
    gate.meanwhile = asking("elicitation/create")
    era = StatelessEra(gate, {}, ParkedCalls(ParkingLimits(per_principal=1)))
    message = Message(1, "tools/call", TOOL | {"_meta": meta_with()})
    told = []
    for _ in range(2):
        connection = Connection()
        scope = request_scope("POST", "/mcp", stateless_headers("tools/call", "rec__write"))
        caller = caller_of("loop")
        exchange = Exchange(scope, connection.receive, connection.send, caller, None)
        await era.post(exchange, message)
        told.append(connection.json)
    assert told[0]["result"]["resultType"] == "input_required"
    assert told[1]["error"]["code"] == -32010
    assert len(gate.calls) == 2


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
