import asyncio
from typing import Any

import pytest

from proxy.errors import BadRequest
from proxy.ingress.jsonrpc import Message
from proxy.ingress.mcp_calls import call_of, cancelled, further_round
from proxy.ingress.mcp_rounds import Carried, Seal
from proxy.model.call import Door, Round
from tests.harness.doors import RecordingGate, caller_of

LOOP = caller_of("loop")
OFFERED = frozenset({("rec", "resources/read"), ("rec", "vendor/do"), ("rec", "prompts/get")})


def message_with(meta: dict[str, Any] | None = None, **params: Any) -> Message:
    return Message(1, "tools/call", params | ({"_meta": meta} if meta is not None else {}))


def call_with(message: Message, server: str | None = None) -> Any:
    return call_of(RecordingGate(methods=OFFERED), server, message)


@pytest.mark.parametrize(("server", "name"), [(None, "rec__write"), ("rec", "write")])
def test_both_endpoints_name_the_same_tool(server: str | None, name: str) -> None:
    """Joined on the aggregated one, plain on the server's own."""
    call = call_with(message_with(name=name, arguments={"b": 1, "a": 2}), server)
    assert (call.resource_id, call.arguments) == ("rec/write", b'{"a":2,"b":1}')
    assert (call.door, call.dry_run, call.idempotency_key) == (Door.MCP, False, None)


def test_meta_asks_for_a_dry_run_and_gives_the_key() -> None:
    """Under our own prefix, which goes no further."""
    meta = {"io.detent/dry_run": True, "io.detent/idempotency_key": "k"}
    call = call_with(message_with(meta, name="rec__write"))
    assert (call.dry_run, call.idempotency_key, call.meta) == (True, "k", b"{}")


def test_what_the_protocol_adds_is_decided_on_and_forwarded() -> None:
    """Beside the arguments; what belongs to the protocol itself is not."""
    meta = {
        "traceparent": "00-1-2-01",
        "progressToken": 1,
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "com.example/k": {"b": 1.0, "a": 2},
    }
    call = call_with(message_with(meta, name="rec__write", task={"ttl": 1.0}))
    assert call.extras == b'{"task":{"ttl":1}}'
    assert call.meta == b'{"com.example/k":{"a":2,"b":1},"traceparent":"00-1-2-01"}'


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"name": "rec__write", "Name": "rec__read"}, "unknown-member"),
        ({"name": "rec__write", "ARGUMENTS": {}}, "unknown-member"),
        ({"name": "rec__write", "RequestState": "x"}, "unknown-member"),
        ({"name": "rec__write", "URI": "x"}, "unknown-member"),
        ({"name": "rec__write", "arguments": []}, "arguments-not-object"),
        ({"name": "rec__write", "arguments": None}, "arguments-not-object"),
        ({"name": "write"}, "unknown-tool-name"),
        ({}, "unknown-tool-name"),
        ({"name": "rec__write", "_meta": {"io.detent/dry_run": "yes"}}, "invalid-dry-run"),
        ({"name": "rec__write", "inputResponses": None}, "invalid-input-responses"),
        ({"name": "rec__write", "inputResponses": []}, "invalid-input-responses"),
        ({"name": "rec__write", "inputResponses": {"k": 1}}, "invalid-input-responses"),
    ],
)
def test_malformed_calls_are_refused(params: dict[str, Any], code: str) -> None:
    """As invalid params."""
    with pytest.raises(BadRequest) as refused:
        call_with(message_with(**params))
    assert (refused.value.code, refused.value.rpc_code) == (code, -32602)


@pytest.mark.parametrize(("server", "uri"), [("rec", "file:///x"), (None, "rec+file:///x")])
def test_a_method_is_a_call_by_its_own_name(server: str | None, uri: str) -> None:
    """Its params are the arguments, in the server's own names and without `_meta`."""
    params = {"uri": uri, "x": 1.0, "_meta": {"k": 1}}
    call = call_with(Message(1, "resources/read", params), server)
    assert (call.resource_id, call.method) == ("rec/resources/read", "resources/read")
    assert call.arguments == b'{"uri":"file:///x","x":1}'
    assert (call.meta, call.extras) == (b'{"k":1}', b"{}")


@pytest.mark.parametrize(
    "method",
    [
        "initialize",
        "ping",
        "server/discover",
        "subscriptions/listen",
        "tools/list",
        "elicitation/create",
        "roots/list",
        "sampling/createMessage",
        "plain",
    ],
)
@pytest.mark.parametrize("server", [None, "rec"])
def test_some_methods_never_reach_a_server(method: str, server: str | None) -> None:
    """The gateway's own, those only servers use, and those of no known form."""
    with pytest.raises(LookupError):
        call_with(Message(1, method, {}), server)


def test_a_method_with_an_unknown_server_is_not_there() -> None:
    """Nobody offers it on the aggregated endpoint; on a server's own, policy says so."""
    with pytest.raises(LookupError):
        call_with(Message(1, "tasks/get", {"taskId": "t"}))
    assert call_with(Message(1, "tasks/get", {"taskId": "t"}), "rec").tool == "tasks/get"


def retry(**params: Any) -> Any:
    message = message_with(name="rec__write", **params)
    seal, call = Seal(lambda: b"k" * 32), call_with(message)
    if "requestState" in params and params["requestState"] == "ours":
        state = seal.sealed(Carried("stp_1", 3, "own"), LOOP, call)
        message = message_with(name="rec__write", **(params | {"requestState": state}))
    return further_round(seal, LOOP, call, message)


def test_a_first_round_is_a_plain_call() -> None:
    """With nothing carried."""
    call, carried, responses = retry()
    assert (call.round, carried, responses) == (None, Carried(), {})


def test_a_later_round_carries_what_was_sealed() -> None:
    """And canonical responses, which no argument or extra repeats."""
    call, carried, responses = retry(requestState="ours", inputResponses={"k": {"b": 1.0, "a": 2}})
    assert call.round == Round("stp_1", 3, b'{"k":{"a":2,"b":1}}', "own")
    assert (carried.step_id, responses) == ("stp_1", {"k": {"a": 2, "b": 1.0}})
    assert (call.arguments, call.extras) == (b"{}", b"{}")


def test_responses_without_a_state_go_to_the_tool_as_well() -> None:
    """Some tools need none; policy sees them in their place."""
    call, carried, _ = retry(inputResponses={})
    assert (call.round, carried) == (Round("", 2), Carried())


def test_a_state_that_is_not_ours_is_refused() -> None:
    """It never reaches the tool."""
    for state in ("theirs", None, 1):
        with pytest.raises(BadRequest) as refused:
            retry(requestState=state)
        assert refused.value.code == "invalid-request-state"


def test_responses_of_other_methods_are_arguments() -> None:
    """Only three methods have rounds."""
    params = {"taskId": "t", "inputResponses": {"k": 1}}
    call = call_with(Message(1, "tasks/update", params), "rec")
    assert call.arguments == b'{"inputResponses":{"k":1},"taskId":"t"}'


async def test_a_cancelled_task_has_settled() -> None:
    """Whoever cancels waits for its own end; one that has ended stays as it is."""
    settled = asyncio.Event()

    async def work() -> int:
        try:
            await asyncio.sleep(0)
            await asyncio.Event().wait()
        finally:
            settled.set()
        return 1

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    await cancelled(task)
    assert (task.cancelled(), settled.is_set()) == (True, True)
    done = asyncio.create_task(asyncio.sleep(0, 7))
    await done
    await cancelled(done)
    assert done.result() == 7
