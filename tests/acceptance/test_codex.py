"""Codex before a real gateway, through `detent hook`: recorded, and run where it is installed."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness.codex import find_codex, model, run_codex
from tests.harness.gateway import Gateway
from tests.harness.recorder import Recorder
from tests.harness.world import World

EVENTS: list[dict[str, Any]] = json.loads(
    Path(__file__).with_name("payloads").joinpath("codex.json").read_text()
)["events"]
DETENT = Path(sys.executable).with_name("detent")
CODEX = find_codex()

needs_codex = pytest.mark.skipif(
    CODEX is None, reason="Codex is not installed: put `codex` on PATH or name it in TEST_CODEX"
)


@pytest.fixture
async def gateway(tmp_path: Path, recorder: Recorder) -> AsyncIterator[Gateway]:
    """A gateway that has reviewed Codex's shell."""
    world = World(tmp_path / "detent", recorder.url)
    world.directory.mkdir()
    short = [{"argument": "command", "max_length": 60}]
    shell = {"hooks": True, "effect": "write", "risk": 1, "constraints": short}
    world.tools["codex"] = {"Bash": shell | {"returns": "trusted"}}
    async with Gateway(world) as running:
        yield running


async def hook(gateway: Gateway, event: dict[str, Any]) -> tuple[int, str, str]:
    """Run `detent hook` as Codex does; return exit code, stdout and stderr."""
    process = await asyncio.create_subprocess_exec(
        DETENT, "hook", "--agent", "codex", "--url", gateway.agents,
        env={"DETENT_TOKEN": gateway.world.agent_token},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate(json.dumps(event).encode())
    return process.returncode or 0, out.decode(), err.decode()


async def test_a_recorded_turn_passes_and_is_settled(gateway: Gateway) -> None:
    """Every event of it; its one command is one step."""
    for event in EVENTS:
        assert await hook(gateway, event) == (0, "{}\n", "")
    _, found = await gateway.operate("GET", "/v1/intents?state=done")
    assert [(step["tool"], step["tier"]) for step in found["intents"]] == [("codex/Bash", "C")]


async def test_a_recorded_turn_under_a_kill_is_blocked(gateway: Gateway) -> None:
    """In the words Codex knows: an exit code before a tool, JSON where it has to stop."""
    await gateway.operate("POST", "/killswitch", {"reason": "drill"})
    for event in EVENTS:
        code, out, err = await hook(gateway, event)
        if event["hook_event_name"] == "PreToolUse":
            assert (code, out) == (2, "")
            assert "(killed)" in err
        elif event["hook_event_name"] != "SessionEnd":
            assert json.loads(out)["continue"] is False


@needs_codex
async def test_codex_runs_what_is_allowed_and_reads_why_not(
    gateway: Gateway, tmp_path: Path
) -> None:
    """One command passes, one is too long."""
    made = tmp_path / "made"
    project = tmp_path / "project"
    project.mkdir()
    token = gateway.world.agent_token
    async with model("echo from-a-shell", f"touch {made} # {'x' * 60}") as served:
        output = await run_codex(str(CODEX), project, served, token, gateway.agents)
    assert "from-a-shell" in served.told[0], output
    assert "value-over-cap" in served.told[1]
    assert not made.exists()


@needs_codex
async def test_without_the_gateway_codex_runs_nothing(tmp_path: Path, gateway: Gateway) -> None:
    """The prompt's hook blocks already."""
    made = tmp_path / "made"
    project = tmp_path / "project"
    project.mkdir()
    async with model(f"touch {made}") as served:
        await run_codex(
            str(CODEX), project, served, gateway.world.agent_token, "http://127.0.0.1:1"
        )
    assert not made.exists()
