"""The promise: after a kill is committed nothing of its scope starts, and everyone can see it."""

import asyncio
import json
import os
import signal
import sys
import time
from typing import Any

import pytest

from tests.harness.gateway import Gateway
from tests.harness.mcp import open_idle_stream
from tests.harness.recorder import Recorder
from tests.harness.world import ROOT, World

pytestmark = pytest.mark.alone

CALLS, STREAMS, RUNS = 100, 20, 20
LAST_START_S, STREAMS_CLOSED_S = 0.050, 0.500


async def in_flight(gateway: Gateway, recorder: Recorder, count: int) -> list[asyncio.Task[Any]]:
    """Start that many calls that hang at the tool, and wait until all have arrived."""
    before = len(recorder.received)
    calls = [asyncio.create_task(gateway.call("hold_read")) for _ in range(count)]
    async with asyncio.timeout(20):
        while len(recorder.received) < before + count:
            await asyncio.sleep(0.005)
    return calls


async def late_callers(gateway: Gateway, stop: asyncio.Event) -> None:
    """Keep trying to start calls, as agents do."""
    while not stop.is_set():
        await gateway.call("read")


async def one_run(gateway: Gateway, recorder: Recorder) -> tuple[float, float, dict[str, Any]]:
    """Kill a busy gateway; return last start after commit, last stream closed, the report."""
    recorder.release.clear()
    calls = await in_flight(gateway, recorder, CALLS)
    streams = [await open_idle_stream(gateway) for _ in range(STREAMS)]
    closing = [asyncio.create_task(stream.closed()) for stream in streams]
    stop = asyncio.Event()
    callers = [asyncio.create_task(late_callers(gateway, stop)) for _ in range(4)]
    await asyncio.sleep(0.1)
    status, report = await gateway.operate("POST", "/killswitch")
    killed_at = time.monotonic()
    assert (status, report["committed"], report["effective"]) == (200, True, True)
    answers = await asyncio.gather(*calls)
    closed_at = max(await asyncio.gather(*closing))
    await asyncio.sleep(0.1)
    stop.set()
    await asyncio.gather(*callers)
    assert {status for status, _ in answers} == {503}
    assert {answer["outcome"] for _, answer in answers} == {"unknown"}
    _, kill = await gateway.operate("GET", f"/killswitch/{report['epoch']}")
    verdicts = [call["verdict"] for call in kill["calls"]]
    assert verdicts.count("unknown") >= CALLS
    assert len(verdicts) >= report["in_flight"]
    last_start = max(request.at for request in recorder.received)
    await gateway.operate("DELETE", f"/killswitch/{report['epoch']}", {"reason": "next run"})
    return last_start - killed_at, closed_at - killed_at, report


@pytest.mark.timeout(300)
async def test_a_kill_stops_a_busy_gateway(gateway: Gateway, recorder: Recorder) -> None:
    """100 calls in flight, 20 idle streams, 4 eager callers: the worst of 20 runs counts."""
    runs = [await one_run(gateway, recorder) for _ in range(RUNS)]
    assert max(start for start, _, _ in runs) <= LAST_START_S
    assert max(closed for _, closed, _ in runs) <= STREAMS_CLOSED_S


async def test_a_kill_survives_kill_9_and_restart(
    gateway: Gateway, world: World, recorder: Recorder
) -> None:
    """Acknowledged means durable; the next process starts halted."""
    _, report = await gateway.operate("POST", "/killswitch", {"reason": "runaway"})
    await gateway.kill9()
    async with Gateway(world) as again:
        status, answer = await again.call("read")
        assert (status, answer["reasons"][0]["id"]) == (503, "killed")
        _, state = await again.operate("GET", "/killswitch")
        assert [kill["epoch"] for kill in state["active"]] == [report["epoch"]]
    assert recorder.received == []


@pytest.mark.parametrize(
    "scope", ["agent:acme/tester", "tenant:acme", "tool:rec/read"], ids=lambda scope: scope[:5]
)
async def test_a_scoped_kill_stops_its_scope_only(gateway: Gateway, scope: str) -> None:
    """Others go on while one is stopped; a lift lets it go on too."""
    _, report = await gateway.operate("POST", "/killswitch", {"scope": scope})
    assert (await gateway.call("read"))[0] == 503
    other = {"tool": "write"} if scope.startswith("tool") else {"tool": "read"}
    token = "" if scope.startswith("tool") else gateway.world.other_token
    assert (await gateway.call(other["tool"], token=token))[0] == 200
    await gateway.operate("DELETE", f"/killswitch/{report['epoch']}", {"reason": "fixed"})
    assert (await gateway.call("read"))[0] == 200


async def test_a_session_can_be_killed_alone(gateway: Gateway) -> None:
    """The agent's other sessions go on."""
    _, session = await gateway.ask("POST", "/v1/sessions", {})
    scope = f"session:{session['id']}"
    await gateway.operate("POST", "/killswitch", {"scope": scope})
    assert (await gateway.call("read", token=session["token"]))[0] == 503
    assert (await gateway.call("read"))[0] == 200


async def test_sigusr1_halts_everything(gateway: Gateway) -> None:
    """The last resort needs no token and no network."""
    os.kill(gateway.pid, signal.SIGUSR1)
    async with asyncio.timeout(5):
        while (await gateway.call("read"))[0] != 503:
            await asyncio.sleep(0.01)
        while not (await gateway.operate("GET", "/killswitch"))[1]["active"]:
            await asyncio.sleep(0.01)  # halted at once, committed a moment later
    _, state = await gateway.operate("GET", "/killswitch")
    assert state["active"][0]["actor"] == "signal"


async def test_detent_kill_and_lift_work_from_a_terminal(gateway: Gateway) -> None:
    """Exit code 0, a line for people, JSON for machines."""
    token = gateway.world.operator_token
    environ = {"DETENT_URL": gateway.operators, "DETENT_OPERATOR_TOKEN": token}
    code, out = await detent(environ, "kill", "--reason", "drill", "--json")
    assert code == 0
    epoch = json.loads(out)["epoch"]
    assert (await gateway.call("read"))[0] == 503
    code, out = await detent(environ, "lift", str(epoch), "--reason", "drill over")
    assert (code, out.strip()) == (0, f"lifted: epoch {epoch + 1}")
    assert (await gateway.call("read"))[0] == 200


async def test_a_client_error_is_no_stack_trace(gateway: Gateway) -> None:
    """A wrong token exits 1 and says so; no gateway exits 3."""
    environ = {"DETENT_URL": gateway.operators, "DETENT_OPERATOR_TOKEN": "dto_wrong"}
    code, out = await detent(environ, "kill")
    assert (code, "Traceback" in out) == (1, False)
    code, out = await detent(environ | {"DETENT_URL": "http://127.0.0.1:1"}, "kill")
    assert (code, "is the gateway running" in out) == (3, True)


async def detent(environ: dict[str, str], *arguments: str) -> tuple[int, str]:
    """Run the command; return exit code and output."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "proxy", *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, **environ},
        cwd=ROOT,
    )  # fmt: skip
    out, _ = await asyncio.wait_for(process.communicate(), 20)
    return process.returncode or 0, out.decode()
