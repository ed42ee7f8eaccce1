import asyncio
import json
from typing import Any

import pytest
from starlette.types import ASGIApp

from proxy.ingress.jsonrpc import Message
from proxy.ingress.mcp_calls import Exchange
from proxy.ingress.mcp_parked import ParkedCalls, ParkingLimits
from proxy.ingress.mcp_rounds import own_seal
from proxy.ingress.mcp_stateless import StatelessEra
from proxy.model.call import ToolCall
from proxy.model.ledger import Outcome
from proxy.model.step import Answer
from proxy.upstream.conversation import Conversation
from tests.harness.asgi import Connection
from tests.harness.doors import (
    RecordingGate,
    caller_of,
    done,
    request_scope,
    stateless_headers,
)
from tests.harness.mcp_requests import CAPABLE, METHODS, TOOL, meta_with, post, request

FORM = {"message": "name?", "requestedSchema": {"type": "object"}}
ELICIT = {"method": "elicitation/create", "params": FORM}
ACCEPTED = {"action": "accept", "content": {"name": "x"}}


@pytest.fixture
def gate() -> RecordingGate:
    return RecordingGate(methods=METHODS)


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


async def test_a_question_that_is_taken_back_ends_no_round(
    gate: RecordingGate, app: ASGIApp
) -> None:
    """There would be nothing to answer; the call goes on."""

    async def meanwhile(client: Conversation) -> None:
        asking = asyncio.create_task(client.ask("elicitation/create", b"{}"))
        await asyncio.sleep(0)
        asking.cancel()
        await asyncio.wait({asking})
        await asyncio.sleep(0.01)

    gate.meanwhile = meanwhile
    assert (await post(app, TOOL)).json["result"]["resultType"] == "complete"


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


async def test_only_so_many_calls_wait(gate: RecordingGate) -> None:
    """One more is cancelled, and its client told."""
    gate.meanwhile = asking("elicitation/create")
    era = StatelessEra(gate, {}, ParkedCalls(ParkingLimits(per_principal=1)), own_seal())
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
