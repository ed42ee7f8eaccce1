"""Every method is a call, and what a server answers comes back in its own text."""

import asyncio
import json
import re
from typing import Any

import pytest

from proxy.errors import OutcomeUnknown, Refused
from proxy.model.mcp import Era
from proxy.model.tool import Effect, ToolManifest
from proxy.upstream.base import UpstreamCall
from tests.harness.client import Client
from tests.harness.talker import Talker

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize(
    ("method", "arguments", "expected"),
    [
        ("resources/read", {"uri": "note://é b"}, "the note"),
        ("resources/templates/list", {}, "note://{name}"),
        ("prompts/get", {"name": "greet", "arguments": {"name": "Ada"}}, "Greet Ada."),
        ("prompts/list", {}, "greet"),
    ],
)
async def test_methods_are_calls(
    method: str, arguments: dict[str, Any], expected: str, talker: Talker, client: Client
) -> None:
    """Resources and prompts, in the client's own era or the other one."""
    result = await talker.call(method, client, **arguments)
    assert not result.is_error
    assert expected in result.result.decode()


async def test_a_method_that_is_not_there_is_an_error_of_the_server(
    talker: Talker, client: Client
) -> None:
    """Code and message as the server wrote them."""
    result = await talker.call("no/such", client)
    assert (result.is_error, result.is_rpc_error) == (True, True)
    assert json.loads(result.result)["code"] == -32601


async def test_an_error_keeps_its_data(talker: Talker, client: Client) -> None:
    """Code, message and data, verbatim."""
    result = await talker.call("refuse", client)
    assert (result.is_error, result.is_rpc_error) == (True, True)
    assert b'"retryAfter":1.0' in result.result
    assert json.loads(result.result)["code"] == -32042


async def test_numbers_keep_their_spelling(talker: Talker, client: Client) -> None:
    """Nothing is read as a double and written again."""
    text = (await talker.call("numbers", client)).result.decode()
    structured = text[text.index('"structuredContent"') :]
    for spelled in ('"whole":1.0', '"large":12345678901234567890', '"exponent":1e+22', "[0.1,2.0]"):
        assert spelled in structured.replace(": ", ":").replace(", ", ",")


async def test_what_the_caller_says_beside_is_passed_on(talker: Talker) -> None:
    """Keys of `_meta` that are not the protocol's do not disturb it."""
    call = UpstreamCall(
        ToolManifest("talker", "progress", Effect.WRITE),
        b'{"steps":2}',
        10,
        meta=b'{"progressToken":"stolen","traceparent":"00-0af7651916cd43dd8448eb211c80319c"}',
        conversation=(client := Client(Era.HANDSHAKE)),
    )
    await talker.upstream.call(call, lambda: None)
    assert len(client.heard("notifications/progress")) == 2


async def test_a_kill_is_looked_for_before_every_round(talker: Talker) -> None:
    """`sending` is called again before a later round, and ends the call there."""
    rounds: list[int] = []

    def sending() -> None:
        rounds.append(1)
        if len(rounds) > 1:
            raise Refused.because("killed")

    client = Client(Era.HANDSHAKE)
    call = UpstreamCall(
        ToolManifest("talker", "elicit", Effect.WRITE), b"{}", 10, conversation=client
    )
    refused = False
    try:
        await talker.upstream.call(call, sending)
    except Refused:
        refused = True
    assert refused is (len(rounds) > 1)
    assert refused or Era.HANDSHAKE in talker.eras


async def cut(talker: Talker, client: Client, text: str) -> float:
    """Cancel a call; return how many seconds later it has ended, here and at the tool."""
    task = asyncio.create_task(talker.call("hang", client, text=text))
    await talker.until(text, "began")
    began = asyncio.get_running_loop().time()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    here = asyncio.get_running_loop().time()
    return max(here, await talker.until(text, "ended")) - began


async def test_a_cancelled_call_ends_at_the_tool(talker: Talker, client: Client) -> None:
    """Within 100 ms of the cancellation, measured there; a busy machine may need a second try."""
    took: list[float] = []
    while not took or (min(took) >= 0.1 and len(took) < 4):
        took.append(await cut(talker, client, f"cut-{client.era}-{len(took)}"))
    assert min(took) < 0.1, took


async def test_the_time_of_a_call_stands_still_while_its_client_thinks(talker: Talker) -> None:
    """A client that takes longer than the tool may take is waited for."""
    client = Client(Era.HANDSHAKE, "slow", thinks_s=0.8)
    result = await talker.call("elicit", client, timeout_s=0.6)
    assert b"hello Ada" in result.result
    with pytest.raises(OutcomeUnknown, match="in time"):
        await talker.call("hang", client, timeout_s=0.6, text="late")


async def test_a_stream_that_is_left_is_picked_up_again(talker: Talker) -> None:
    """A server of 2025 may close the connection of a call and go on."""
    if talker.kind != "http-handshake":
        pytest.skip("only streams of HTTP before 2026-07-28 are resumable")
    client = Client(Era.HANDSHAKE, "patient")
    assert await talker.text("leave", client) == "came back"
    said = [one["message"] for one in client.heard("notifications/progress")]
    assert said == ["before", "after"]
    assert len(client.pauses) == 1


async def test_definitions_do_not_depend_on_the_era(talker: Talker) -> None:
    """Names and pins, asked for as often as one likes."""
    first, second = await talker.upstream.definitions(), await talker.upstream.definitions()
    assert first == second
    assert all(re.fullmatch("sha256:[0-9a-f]{64}", one.pin) for one in first)
