import json
from collections.abc import Callable
from typing import Any

import pytest

from proxy.errors import BadRequest, Refused
from proxy.ingress.jsonrpc import Message
from proxy.ingress.mcp_calls import Exchange
from proxy.ingress.mcp_methods import Methods
from proxy.ingress.unread import HANG_UP
from proxy.model.call import ToolCall
from proxy.model.ledger import Outcome
from proxy.model.mcp import RpcReply
from proxy.model.step import Answer
from proxy.upstream.conversation import Silence
from tests.harness.asgi import Connection
from tests.harness.doors import RecordingGate, caller_of, refused

STAMP = {"io.modelcontextprotocol/serverInfo": {"name": "detent", "version": "1"}}
OFFERED = frozenset(
    (server, method)
    for server in ("a", "b")
    for method in ("resources/list", "prompts/list", "resources/read", "logging/setLevel")
)
Answering = Callable[[ToolCall], Answer]


def says(result: Any) -> Answering:
    raw = json.dumps(result).encode()
    return lambda _: Answer("stp_1", "allow", (), Outcome.DONE, result=raw)


async def answered(
    gate: RecordingGate, method: str, server: str | None = None, **params: Any
) -> RpcReply:
    connection = Connection()
    exchange = Exchange({}, connection.receive, connection.send, caller_of("loop"), server)
    message = Message(1, method, params)
    return await Methods(gate, STAMP).answered(exchange, message, Silence)


def gate_that(answer: Answering) -> RecordingGate:
    return RecordingGate(methods=OFFERED, answer=answer)


async def test_tools_are_listed_by_the_gateway_itself() -> None:
    """No server is asked."""
    gate = gate_that(says({}))
    reply = await answered(gate, "tools/list")
    names = [shown["name"] for shown in json.loads(reply.result or b"")["tools"]]
    assert (names, gate.calls) == (["rec__write", "repo__log"], [])


async def test_a_tools_result_and_a_methods_have_their_own_form() -> None:
    """A refusal is a result for the one and an error for the other."""
    gate = gate_that(refused("default-deny"))
    tool = await answered(gate, "tools/call", name="a__x")
    method = await answered(gate, "resources/read", uri="a+f:x")
    assert json.loads(tool.result or b"")["isError"]
    assert json.loads(method.error or b"")["code"] == -32010


async def test_aggregated_results_name_what_can_be_read() -> None:
    """On a server's own endpoint nothing is renamed."""
    gate = gate_that(says({"contents": [{"uri": "f:x"}]}))
    joined = await answered(gate, "resources/read", uri="a+f:x")
    plain = await answered(gate, "resources/read", "a", uri="f:x")
    uris = [json.loads(had.result or b"")["contents"][0]["uri"] for had in (joined, plain)]
    assert uris == ["a+f:x", "f:x"]
    assert [call.arguments for call in gate.calls] == [b'{"uri":"f:x"}'] * 2


async def test_aggregated_lists_ask_every_server_that_offers_them() -> None:
    """With the request's own `_meta`; each is a call."""
    gate = gate_that(says({"resources": [{"uri": "f:x"}]}))
    reply = await answered(gate, "resources/list", _meta={"traceparent": "t"})
    uris = [had["uri"] for had in json.loads(reply.result or b"")["resources"]]
    assert uris == ["a+f:x", "b+f:x"]
    assert [call.resource_id for call in gate.calls] == ["a/resources/list", "b/resources/list"]
    assert {call.meta for call in gate.calls} == {b'{"traceparent":"t"}'}


async def test_a_servers_own_list_is_its_own_page() -> None:
    """Its cursor is passed on."""
    gate = gate_that(says({"resources": [], "nextCursor": "2"}))
    reply = await answered(gate, "resources/list", "a", cursor="1")
    assert json.loads(reply.result or b"")["nextCursor"] == "2"
    assert gate.calls[0].arguments == b'{"cursor":"1"}'


async def test_an_aggregated_list_has_one_page() -> None:
    """No cursor was ever given out."""
    with pytest.raises(BadRequest):
        await answered(gate_that(says({})), "resources/list", cursor="1")


@pytest.mark.parametrize("method", ["resources/templates/list", "x/y", "plain"])
async def test_what_nobody_offers_is_not_there(method: str) -> None:
    """And no server is asked."""
    gate = gate_that(says({}))
    with pytest.raises(LookupError):
        await answered(gate, method)
    assert gate.calls == []


async def test_a_log_level_goes_to_every_server() -> None:
    """What one agrees to is agreed; when none does, the first reason is told."""
    denied = Refused.because("default-deny").refusal.reasons

    def one_denies(call: ToolCall) -> Answer:
        if call.server == "a":
            return Answer("s", "deny", denied, Outcome.DENIED)
        return Answer("s", "allow", (), Outcome.DONE, result=b"{}")

    gate = gate_that(one_denies)
    assert (await answered(gate, "logging/setLevel", level="info")).result is not None
    assert [call.server for call in gate.calls] == ["a", "b"]
    none = await answered(gate_that(refused("default-deny")), "logging/setLevel", level="info")
    assert json.loads(none.error or b"")["code"] == -32010


@pytest.mark.parametrize(("reason_id", "times"), [("killed", 1), ("default-deny", 0)])
async def test_the_connection_of_a_killed_call_is_let_go_of(reason_id: str, times: int) -> None:
    """Of no other refused call."""
    asked: list[str] = []
    connection = Connection()
    scope = {HANG_UP: lambda: asked.append("hurry")}
    exchange = Exchange(scope, connection.receive, connection.send, caller_of("loop"), "a")
    message = Message(1, "resources/read", {"uri": "f:x"})
    await Methods(gate_that(refused(reason_id)), STAMP).answered(exchange, message, Silence)
    assert len(asked) == times
