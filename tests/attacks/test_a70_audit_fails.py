"""A70: what records calls is full, slow, gone, or dies with the gateway in the middle of a call.

Nothing is sent whose intent and decision are not durable before; nothing that was sent is missing.
Tampering with rows of the ledger needs records that are chained, which do not exist yet.
"""

import asyncio
import contextlib
import resource
from pathlib import Path
from typing import Any

import aiohttp

from tests.harness.gateway import Gateway
from tests.harness.postgres import Server
from tests.harness.recorder import Recorder
from tests.harness.tcp_faults import CUT_OFF, HEALTHY
from tests.harness.together import Together, together, worlds_of
from tests.harness.world import World

NO_LIMIT = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
WRITES = ("write", "opaque", "drop")


@contextlib.contextmanager
def full_disk(gateway: Gateway) -> Any:
    """Let no file of the running gateway take another byte (RLIMIT_FSIZE: EFBIG)."""
    resource.prlimit(gateway.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    try:
        yield
    finally:
        resource.prlimit(gateway.pid, resource.RLIMIT_FSIZE, NO_LIMIT)


async def until_done(gateway: Gateway, step_id: str) -> None:
    """Wait until the ledger says that a step is done."""
    async with asyncio.timeout(15):
        while await state_of(gateway, step_id) != "done":
            await asyncio.sleep(0.1)


async def state_of(gateway: Gateway, step_id: str) -> str:
    """Return the state of a step in the chain of its session."""
    _, told = await gateway.operate("GET", "/v1/sessions")
    for session in told["sessions"]:
        _, chain = await gateway.operate("GET", f"/v1/chains/{session['id']}")
        for step in chain["steps"]:
            if step["step_id"] == step_id:
                return str(step["state"])
    return ""


async def decided(gateway: Gateway) -> set[str]:
    """Return the steps that have a decision on record."""
    _, told = await gateway.operate("GET", "/v1/decisions")
    return {one["step_id"] for one in told["decisions"]}


async def arrived(recorder: Recorder) -> None:
    """Wait until the tool has received a call."""
    async with asyncio.timeout(20):
        while not recorder.received:
            await asyncio.sleep(0.01)


async def test_a70_on_a_full_disk_nothing_is_sent(gateway: Gateway, recorder: Recorder) -> None:
    """503 for every call while it is full; afterwards calls are made and recorded again."""
    with full_disk(gateway):
        for tool in WRITES:
            status, answer = await gateway.call(tool, {"text": "x"})
            assert (status, answer["reasons"][0]["id"]) == (503, "store-unavailable")
    assert recorder.received == []
    status, answer = await gateway.call("write", {"text": "x"})
    assert (status, len(recorder.received)) == (200, 1)
    assert answer["step_id"] in await decided(gateway)


async def test_a70_an_outcome_that_finds_a_full_disk_is_not_lost(
    gateway: Gateway, recorder: Recorder
) -> None:
    """The agent is told that nobody knows; the ledger knows once there is room again."""
    calling = asyncio.create_task(gateway.call("hold", {"text": "x"}))
    await arrived(recorder)
    with full_disk(gateway):
        recorder.release.set()
        status, answer = await calling
        assert (status, answer["outcome"]) == (503, "unknown")
    await until_done(gateway, answer["step_id"])
    assert answer["step_id"] in await decided(gateway)
    assert len(recorder.received) == 1


async def test_a70_a_gateway_that_dies_in_a_call_has_it_on_record(
    gateway: Gateway, world: World, recorder: Recorder
) -> None:
    """Intent and decision were durable before the first byte; the next process says unknown."""
    calling = asyncio.create_task(gateway.call("hold", {"text": "x"}))
    await arrived(recorder)
    await gateway.kill9()
    with contextlib.suppress(aiohttp.ClientError):
        await calling
    async with Gateway(world) as again:
        _, listed = await again.operate("GET", "/v1/intents?state=unknown")
        (intent,) = listed["intents"]
        assert intent["step_id"] in await decided(again)
    assert len(recorder.received) == 1


async def slow_then_gone(one: Together, recorder: Recorder) -> None:
    """Let the ledger answer late, and then not at all."""
    (gateway,), (link,) = one.gateways, one.links
    assert (await gateway.call("write", {"text": "x"}))[0] == 200
    link.set(CUT_OFF)
    late = asyncio.create_task(gateway.call("write", {"text": "late"}))
    await asyncio.sleep(0.3)
    link.set(HEALTHY)
    assert (await late)[0] == 200
    assert len(recorder.received) == 2
    link.set(CUT_OFF)
    for tool in ("write", "opaque"):
        assert (await gateway.call(tool, {"text": "x"}))[0] == 503
    assert len(recorder.received) == 2
    link.set(HEALTHY)


async def test_a70_a_database_that_is_slow_or_away_sends_nothing_unrecorded(
    tmp_path: Path, postgres: Server, recorder: Recorder
) -> None:
    """Late, the call waits for its record; away, it is refused; each that was sent is recorded."""
    async with together(postgres, worlds_of(tmp_path, recorder.url, 1)) as one:
        await slow_then_gone(one, recorder)
        (gateway,) = one.gateways
        async with asyncio.timeout(15):
            while (await gateway.call("read"))[0] != 200:
                await asyncio.sleep(0.1)
        _, told = await gateway.operate("GET", "/v1/decisions")
        sent = [one for one in told["decisions"] if one["verdict"] == "allow"]
        assert len(sent) >= len(recorder.received) == 3
