import asyncio
import json
from typing import Any

import pytest

from proxy.errors import BadRequest
from proxy.ingress.jsonrpc import Message
from proxy.ingress.mcp_calls import Exchange, call_of, cancelled, list_tools, start_call
from proxy.model.call import Door
from proxy.model.session import Mode
from proxy.pipeline.authenticate import Caller
from tests.harness.doors import RecordingGate, caller_of, tool


def message_with(meta: dict[str, Any] | None = None, **params: Any) -> Message:
    return Message(1, "tools/call", params | ({"_meta": meta} if meta is not None else {}))


def exchange_of(caller: Caller, server: str | None = None) -> Exchange:
    async def nothing(*_: object) -> Any:
        await asyncio.sleep(0)

    return Exchange({}, nothing, nothing, caller, server)


@pytest.mark.parametrize(("server", "name"), [(None, "rec__write"), ("rec", "write")])
def test_both_endpoints_name_the_same_tool(server: str | None, name: str) -> None:
    """Joined on the aggregated one, plain on the server's own."""
    call = call_of(message_with(name=name, arguments={"b": 1, "a": 2}), server)
    assert (call.resource_id, call.arguments) == ("rec/write", b'{"a":2,"b":1}')
    assert (call.door, call.dry_run, call.idempotency_key) == (Door.MCP, False, None)


def test_meta_asks_for_a_dry_run_and_gives_the_key() -> None:
    """Under our own prefix; other keys are not read."""
    meta = {"io.detent/dry_run": True, "io.detent/idempotency_key": "k", "progressToken": 1}
    call = call_of(message_with(meta, name="rec__write", task={}), None)
    assert (call.dry_run, call.idempotency_key, call.arguments) == (True, "k", b"{}")


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"name": "rec__write", "Name": "rec__read"}, "unknown-member"),
        ({"name": "rec__write", "ARGUMENTS": {}}, "unknown-member"),
        ({"name": "rec__write", "arguments": []}, "arguments-not-object"),
        ({"name": "rec__write", "arguments": None}, "arguments-not-object"),
        ({"name": "write"}, "unknown-tool-name"),
        ({}, "unknown-tool-name"),
        ({"name": "rec__write", "_meta": {"io.detent/dry_run": "yes"}}, "invalid-dry-run"),
    ],
)
def test_malformed_calls_are_refused(params: dict[str, Any], code: str) -> None:
    """As invalid params."""
    with pytest.raises(BadRequest) as refused:
        call_of(message_with(**params), None)
    assert (refused.value.code, refused.value.rpc_code) == (code, -32602)


async def test_a_cancelled_call_has_settled() -> None:
    """Whoever cancels waits for the pipeline's own end of it."""
    gate = RecordingGate(hold=asyncio.Event())
    message = message_with(name="rec__write")
    call = start_call(gate, exchange_of(caller_of("loop")), message)
    await asyncio.sleep(0)
    await cancelled(call)
    assert call.cancelled()
    assert gate.cancelled == gate.calls


async def test_an_ended_call_stays_ended() -> None:
    """Cancelling it again changes nothing."""
    gate = RecordingGate()
    call = start_call(gate, exchange_of(caller_of("loop")), message_with(name="rec__write"))
    answer = await call
    await cancelled(call)
    assert call.result() is answer


@pytest.mark.parametrize(
    ("mode", "shown"),
    [(Mode.READ_WRITE, True), (Mode.READ_ONLY, True), (Mode.DRY_RUN, False)],
)
async def test_output_schemas_are_hidden_in_a_dry_run(mode: Mode, shown: bool) -> None:
    """Only there: a preview would not fit them."""
    gate = RecordingGate(tools=(tool("rec", "write", outputSchema={"type": "object"}),))
    exchange = exchange_of(caller_of("loop", mode))
    listed = await list_tools(gate, exchange, Message(1, "tools/list", {}), None)
    assert ("outputSchema" in json.loads(listed)["result"]["tools"][0]) is shown


async def test_there_is_one_page() -> None:
    """A cursor nobody gave out is invalid."""
    message = Message(1, "tools/list", {"cursor": "2"})
    with pytest.raises(BadRequest) as refused:
        await list_tools(RecordingGate(), exchange_of(caller_of("loop")), message, None)
    assert refused.value.rpc_code == -32602
