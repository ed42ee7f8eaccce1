import asyncio
import json
import os
import re
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from proxy.cli import serve as module
from proxy.cli.serve import Signals
from proxy.config import load_settings
from proxy.model.kill import GLOBAL
from proxy.stores.sqlite import SqliteStore
from tests.harness.assembled import build, living_children
from tests.harness.gateway import Gateway
from tests.harness.processes import command_of
from tests.harness.recorder import Recorder
from tests.harness.signing import BundleKey
from tests.harness.tiny_bundle import BROKEN_RULE, FAILING_SUITE, RULE, write
from tests.harness.world import World

READY = re.compile(r"agents on (\S+), operators on (\S+)")


@pytest.fixture
async def recorder() -> AsyncIterator[Recorder]:
    """A tool that writes down what it gets."""
    recorder = await Recorder().start()
    yield recorder
    await recorder.stop()


@pytest.fixture
def world(tmp_path: Path, recorder: Recorder) -> World:
    """A bundle that is quick to load, and that tool."""
    world = World(tmp_path, recorder.url)
    write(world.bundle)
    return world


@dataclass
class Served:
    """`detent serve` in this process: where it is, and its end."""

    world: World
    agents: str
    operators: str
    task: asyncio.Task[None]
    http: httpx.AsyncClient

    async def call(self, tool: str) -> tuple[int, Any]:
        """Call a tool of the recorder."""
        headers = {"Authorization": f"Bearer {self.world.agent_token}"}
        body = {"server": "rec", "tool": tool, "arguments": {}}
        got = await self.http.post(f"{self.agents}/v1/calls", json=body, headers=headers)
        return got.status_code, got.json()

    async def operate(self, path: str) -> Any:
        """Ask the operators' port."""
        headers = {"Authorization": f"Bearer {self.world.operator_token}"}
        return (await self.http.get(self.operators + path, headers=headers)).json()

    async def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Send the signal and wait for the end."""
        signalled(number)
        async with asyncio.timeout(15):
            await self.task


def signalled(number: signal.Signals) -> None:
    """Send ourselves a signal, if somebody takes it."""
    assert signal.getsignal(number) not in {signal.SIG_DFL, signal.default_int_handler}
    os.kill(os.getpid(), number)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


@asynccontextmanager
async def serving(world: World, capsys: pytest.CaptureFixture[str]) -> AsyncIterator[Served]:
    """Serve until the block ends, or a signal before."""
    task = asyncio.create_task(module._serve(load_settings(world.write(), {}), "info"))
    try:
        told = ""
        async with asyncio.timeout(15):
            while not (found := READY.search(told)):
                told += capsys.readouterr().err
                await asyncio.wait((task,), timeout=0.01)
                assert not task.done(), task.exception()
        async with httpx.AsyncClient(trust_env=False, timeout=10) as http:
            served = Served(world, found[1], found[2], task, http)
            yield served
        if not task.done():
            await served.end()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def states(world: World) -> list[str]:
    """Return the state of every call in the ledger that was left."""
    store = SqliteStore(world.database)
    await store.open()
    rows = await store.steps(None, (), 100)
    await store.close()
    return [row.state.value for row in rows]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_serves_until_the_signal_and_leaves_nothing(
    world: World, staging: Path, capsys: pytest.CaptureFixture[str], number: signal.Signals
) -> None:
    """No child, no port, no copy of the policy."""
    async with serving(world, capsys) as served:
        assert (await served.call("read"))[0] == 200
        assert len(living_children()) > 0
        await served.end(number)
        with pytest.raises(httpx.ConnectError):
            await served.call("read")
    assert living_children() == []
    assert list(staging.iterdir()) == []


async def test_a_call_in_flight_ends_before_the_process_does(
    world: World, recorder: Recorder, capsys: pytest.CaptureFixture[str]
) -> None:
    """New ones are told to come back; its outcome is answered and recorded."""
    async with serving(world, capsys) as served:
        calling = asyncio.create_task(served.call("hold"))
        await until(lambda: len(recorder.received) == 1)
        ending = asyncio.create_task(served.end())
        while (refused := await served.call("read"))[0] == 200:
            await asyncio.sleep(0.01)
        assert refused[1]["reasons"][0]["id"] == "draining"
        recorder.release.set()
        status, answer = await calling
        await ending
    assert (status, answer["outcome"]) == (200, "done")
    assert "done" in await states(world)


async def test_a_call_that_outlasts_the_drain_is_answered_and_recorded_as_unknown(
    world: World, recorder: Recorder, capsys: pytest.CaptureFixture[str]
) -> None:
    """The effect may have happened: nobody is left without that word."""
    world.settings = {"drain": "100ms"}
    async with serving(world, capsys) as served:
        calling = asyncio.create_task(served.call("hold"))
        await until(lambda: len(recorder.received) == 1)
        await served.end()
        status, answer = await calling
    assert (status, answer["outcome"]) == (503, "unknown")
    assert [reason["id"] for reason in answer["reasons"]] == ["draining", "outcome-unknown"]
    assert await states(world) == ["unknown"]


async def test_sighup_loads_the_policy_again(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a restart, and without dropping a call."""
    async with serving(world, capsys) as served:
        _, before = await served.call("read")
        write(world.bundle, {"main.rego": RULE + "\n# corrected\n"})
        signalled(signal.SIGHUP)
        async with asyncio.timeout(10):
            while (await served.call("read"))[1]["policy_revision"] == before["policy_revision"]:
                await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    "files", [{"main.rego": BROKEN_RULE}, {"suites/reads.yaml": FAILING_SUITE}]
)
async def test_sighup_with_a_bad_policy_changes_nothing(
    world: World,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    files: dict[str, str],
) -> None:
    """The process lives, the last good policy decides, the log says why."""
    async with serving(world, capsys) as served:
        _, before = await served.call("read")
        write(world.bundle, files)
        signalled(signal.SIGHUP)
        await until(lambda: "the last good policy stays" in caplog.text)
        status, after = await served.call("read")
    assert (status, after["policy_revision"]) == (200, before["policy_revision"])


async def test_sigusr1_kills_everything(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """It needs no token and no network."""
    async with serving(world, capsys) as served:
        signalled(signal.SIGUSR1)
        async with asyncio.timeout(5):
            while (await served.call("read"))[0] != 503:
                await asyncio.sleep(0.01)
        async with asyncio.timeout(5):  # refused at once, committed a moment later
            while not (kills := (await served.operate("/killswitch"))["active"]):
                await asyncio.sleep(0.01)
    assert [(kill["actor"], kill["reason"]) for kill in kills] == [("signal", "SIGUSR1")]


async def test_a_halt_that_comes_too_early_is_done_before_anything_is_served(
    world: World,
) -> None:
    """One turn of the loop after the start nothing can start any more."""
    built = build(world)
    signals = Signals(built.gateway)
    signalled(signal.SIGUSR1)
    assert await signals.unless_stopped(built.gateway.start())
    assert not built.gateway.parts.kill_switch.covers([GLOBAL])
    signals.started.set()
    await asyncio.sleep(0)
    assert built.gateway.parts.kill_switch.covers([GLOBAL])
    await signals.finished()
    await built.gateway.stop()
    built.cleanup()


async def test_a_start_is_given_up_when_told_to_stop(world: World, staging: Path) -> None:
    """A server that never answers does not hold the end, nor what waited for the start."""
    world.servers = {"slow": {"mcp": {"command": ["sleep", "60"]}}}
    task = asyncio.create_task(module._serve(load_settings(world.write(), {}), "info"))
    await until(lambda: any("sleep" in command_of(pid) for pid in living_children()))
    signalled(signal.SIGUSR1)
    signalled(signal.SIGTERM)
    async with asyncio.timeout(10):
        await task
    assert living_children() == []
    assert list(staging.iterdir()) == []


async def test_the_process_itself_ends_with_0_and_logs_masked_lines(world: World) -> None:
    """Every line but the one for people is JSON, and no token is in it."""
    gateway = Gateway(world)
    await gateway.start()
    assert (await gateway.call("read"))[0] == 200
    assert await gateway.stop() == 0
    lines = [line for line in gateway.text.splitlines() if not READY.match(line)]
    assert all(json.loads(line)["message"] for line in lines)
    assert world.agent_token not in gateway.text
    assert world.operator_token not in gateway.text


async def test_a_signed_policy_is_served_and_followed(
    world: World, staging: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A new archive decides soon; nothing of it is left behind but the last good one."""
    key = BundleKey.make()
    world.write()
    archive = world.directory / "detent.tar.gz"
    archive.write_bytes(key.deliver(world.bundle, 1))
    verify, pull = key.settings(world.directory), {"every": "50ms"}
    world.settings = {"policy": {"bundle": archive.name, "verify": verify, "pull": pull}}
    async with serving(world, capsys) as served:
        first = await served.operate("/v1/policy")
        write(world.bundle, {"main.rego": f"{RULE}\n# newer\n"})
        archive.write_bytes(key.deliver(world.bundle, 2))
        async with asyncio.timeout(30):
            while (now := await served.operate("/v1/policy"))["number"] != 2:
                await asyncio.sleep(0.05)
        assert now["policy_revision"] != first["policy_revision"]
        await served.end()
    assert list(staging.iterdir()) == []
    assert [file.name for file in (world.directory / "var/policy").glob("last-good*")]
