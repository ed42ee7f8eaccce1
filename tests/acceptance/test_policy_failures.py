"""Without a policy nothing goes: OPA killed, stopped, or answering nonsense (A39)."""

import asyncio
import os
import shutil
import signal
import time
from pathlib import Path

import pytest

from tests.harness.gateway import Gateway
from tests.harness.processes import opa_of
from tests.harness.recorder import Recorder
from tests.harness.world import World

pytestmark = pytest.mark.alone

DEADLINE_S = 0.25


@pytest.fixture
def world(tmp_path: Path, recorder: Recorder) -> World:
    """A gateway with the deadline that users get."""
    return World(tmp_path, recorder.url, deadline="250ms")


async def denied(gateway: Gateway) -> None:
    """A read and a write are refused within the deadline, for the right reason."""
    for tool in ("read", "write"):
        began = time.monotonic()
        status, answer = await gateway.call(tool)
        assert (status, answer["reasons"][0]["id"]) == (503, "policy-unavailable")
        assert time.monotonic() - began < DEADLINE_S + 0.25


async def back(gateway: Gateway) -> None:
    """Service returns by itself."""
    async with asyncio.timeout(15):
        while (await gateway.call("read"))[0] != 200:
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
async def test_an_opa_that_is_gone_or_stopped_denies_and_comes_back(
    gateway: Gateway, recorder: Recorder, number: signal.Signals
) -> None:
    """Every call in between is refused in time; the kill switch answers meanwhile."""
    assert (await gateway.call("read"))[0] == 200
    os.kill(opa_of(gateway.pid), number)
    await denied(gateway)
    assert len(recorder.received) == 1
    status, report = await gateway.operate("POST", "/killswitch", {"scope": "tool:rec/none"})
    assert (status, report["committed"]) == (200, True)
    await back(gateway)


@pytest.mark.parametrize(
    "rule",
    [
        "decision := 7",
        'decision := {"verdict": "allow"}',
        'decision := {"verdict": "permit", "reasons": []}',
        "decision := true if input.nothing",
        "decision := {}",
    ],
)
async def test_an_answer_that_is_no_decision_denies(
    world: World, recorder: Recorder, rule: str
) -> None:
    """Undefined, incomplete or of the wrong shape: refused, nothing sent."""
    world.write()
    (world.bundle / "main.rego").write_text(f"package detent.main\n\n{rule}\n\nvisible := []\n")
    for folder in ("rules", "lib"):
        shutil.rmtree(world.bundle / folder, ignore_errors=True)
    async with Gateway(world) as gateway:
        status, answer = await gateway.call("read")
        assert (status, answer["reasons"][0]["id"]) == (503, "policy-unavailable")
    assert recorder.received == []


async def test_a_broken_policy_at_start_is_refused_with_its_place(world: World) -> None:
    """File, line and cure; exit code 2."""
    world.write()
    (world.bundle / "main.rego").write_text("package detent.main\n\ndecision := nonsense(\n")
    with pytest.raises(RuntimeError, match=r"ended with 2(.|\n)*main\.rego:\d"):
        await Gateway(world).start()


async def test_a_broken_policy_on_reload_keeps_the_last_good_one(
    gateway: Gateway, world: World
) -> None:
    """The call after the failed reload is decided by the old revision."""
    _, before = await gateway.call("read")
    good = (world.bundle / "main.rego").read_text()
    (world.bundle / "main.rego").write_text(good + "\nbroken {\n")
    status, problem = await gateway.operate("POST", "/v1/policy/reload")
    assert status == 422
    assert "main.rego" in problem["detail"]
    _, after = await gateway.call("read")
    assert after["policy_revision"] == before["policy_revision"]


async def test_a_good_policy_is_taken_without_a_restart(gateway: Gateway, world: World) -> None:
    """The next decision carries the new revision, and the new rule decides."""
    _, before = await gateway.call("read")
    world.data("roles", {"tester": {"tools": ["rec/write"]}})
    status, loaded = await gateway.operate("POST", "/v1/policy/reload")
    assert status == 200
    assert loaded["policy_revision"] != before["policy_revision"]
    status, answer = await gateway.call("read")
    assert (status, answer["policy_revision"]) == (403, loaded["policy_revision"])
