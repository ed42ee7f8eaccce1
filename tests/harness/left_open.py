"""Calls that a gateway leaves open: it is killed while the tool holds the call."""

import asyncio
import contextlib
from typing import Any

import aiohttp

from tests.harness.gateway import Gateway
from tests.harness.recorder import Recorder
from tests.harness.world import ECHO, http_tool

PROBE = {
    "tool": "item",
    "arguments": {"id": "/text"},
    "expect": [{"at": "/body/text", "argument": "/text"}],
}
HOLD: dict[str, Any] = {**ECHO, "timeout": "1s", "route": False}
TOOLS: dict[str, Any] = {
    "hold_keyed": http_tool("POST", "/hold", "write", recovery="idempotency_key", **HOLD),
    "hold_probed": http_tool("POST", "/hold", "write", recovery="probe", probe=PROBE, **HOLD),
    "hold_blind": http_tool("POST", "/hold", "write", recovery="probe", **HOLD),
    "hold_opaque": http_tool("POST", "/hold", "write", recovery="opaque", **HOLD),
}


async def hang(gateway: Gateway, recorder: Recorder, tool: str, **more: Any) -> asyncio.Task[Any]:
    """Begin a call; return when the tool has it, with the task that waits for its answer."""
    before = len(recorder.received)
    task = asyncio.create_task(gateway.call(tool, {"text": "x"}, **more))
    while len(recorder.received) == before:
        assert not task.done(), task.result()
        await asyncio.sleep(0.005)
    return task


async def leave(gateway: Gateway, recorder: Recorder, tool: str, **more: Any) -> None:
    """Kill the gateway while the tool holds its call."""
    task = await hang(gateway, recorder, tool, **more)
    await gateway.kill9()
    with contextlib.suppress(aiohttp.ClientError):
        await task


async def steps(gateway: Gateway, state: str) -> list[dict[str, Any]]:
    """Return the steps of these tools in a state."""
    status, listed = await gateway.operate("GET", f"/v1/intents?state={state}")
    assert status == 200, listed
    rows: list[dict[str, Any]] = listed["intents"]
    return [row for row in rows if row["tool"].startswith("rec/hold_")]


async def settled_as(gateway: Gateway, state: str, within_s: float = 30.0) -> dict[str, Any]:
    """Wait for the one step that recovery settles so."""
    async with asyncio.timeout(within_s):
        while not (found := await steps(gateway, state)):
            await asyncio.sleep(0.1)
    (row,) = found
    return row
