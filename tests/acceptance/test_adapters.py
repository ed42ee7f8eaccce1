"""The adapters in examples/adapters before a real gateway: they are what other agents copy."""

import asyncio
import json
import os
import runpy
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.harness.gateway import Gateway
from tests.harness.recorder import Recorder
from tests.harness.world import World

ROOT = Path(__file__).parents[2]
PLACES = (os.environ.get("TEST_OPENAI_AGENTS_PYTHON", ""), ".tools/openai-agents/bin/python")
WITH_SDK = next((place for place in PLACES if place and (ROOT / place).exists()), None)

needs_sdk = pytest.mark.skipif(
    WITH_SDK is None,
    reason="the OpenAI Agents SDK is not here: python3 -m venv .tools/openai-agents && "
    ".tools/openai-agents/bin/pip install openai-agents httpx",
)


@pytest.fixture
async def gateway(tmp_path: Path, recorder: Recorder) -> AsyncIterator[Gateway]:
    """A gateway that has reviewed a tool of an agent's own."""
    world = World(tmp_path / "detent", recorder.url)
    world.directory.mkdir()
    capped = {"constraints": [{"argument": "text", "max_length": 5}]}
    note = {"hooks": True, "effect": "write", "risk": 1, "returns": "trusted"} | capped
    world.tools["openai-agents"] = {"note": note}
    async with Gateway(world) as running:
        yield running


@pytest.fixture
def plain(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The names of the plain adapter."""
    monkeypatch.setenv("DETENT_AGENTS_URL", gateway.agents)
    monkeypatch.setenv("DETENT_TOKEN", gateway.world.agent_token)
    return runpy.run_path(str(ROOT / "examples/adapters/httpx_agent.py"))


async def test_a_plain_agent_calls_and_reads_refusals(
    gateway: Gateway, plain: dict[str, Any], recorder: Recorder
) -> None:
    """An allowed call, one under a key twice, a denied one, a kill."""
    call: Callable[..., str] = plain["call"]
    assert "error" not in await asyncio.to_thread(call, "rec", "read", {})
    for _ in range(2):
        await asyncio.to_thread(call, "rec", "write", {"text": "a"}, "k1")
    assert recorder.bodies() == [{"text": "a"}]
    assert "(unknown-tool)" in await asyncio.to_thread(call, "rec", "nothing", {})
    assert await asyncio.to_thread(call, "rec", "no such name", {}) == (
        "refused: Names of servers and tools are 1 to 128 of A-Z a-z 0-9 _ . -"
    )
    await gateway.operate("POST", "/killswitch", {"reason": "drill"})
    with pytest.raises(plain["Stopped"]):
        await asyncio.to_thread(call, "rec", "read", {})
    plain["detent"].close()


async def sdk(gateway: Gateway, file: Path, text: str) -> dict[str, Any]:
    """Run the SDK's agent once; return what it printed."""
    environ = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "DETENT_AGENTS_URL": gateway.agents,
        "DETENT_TOKEN": gateway.world.agent_token,
    }
    process = await asyncio.create_subprocess_exec(
        str(ROOT / str(WITH_SDK)), "-m", "tests.harness.openai_agents_run", str(file), text,
        cwd=ROOT,
        env=environ,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    printed: dict[str, Any] = json.loads(out)
    return printed


@needs_sdk
async def test_an_agent_of_the_openai_sdk_asks_first(gateway: Gateway, tmp_path: Path) -> None:
    """An allowed tool runs and is settled; a denied one does not, and its model reads why."""
    note = tmp_path / "note"
    assert await sdk(gateway, note, "hello") == {"told": "wrote hello"}
    note.unlink()
    told = (await sdk(gateway, note, "too long"))["told"]
    assert "value-over-cap" in told
    assert not note.exists()
    _, found = await gateway.operate("GET", "/v1/intents?state=done")
    assert [step["tool"] for step in found["intents"]] == ["openai-agents/note"]


@needs_sdk
async def test_an_agent_of_the_openai_sdk_stops(gateway: Gateway, tmp_path: Path) -> None:
    """Under a kill, and without a gateway: the run raises, the tool has not run."""
    note = tmp_path / "note"
    await gateway.operate("POST", "/killswitch", {"reason": "drill"})
    assert (await sdk(gateway, note, "a"))["raised"] == "ToolInputGuardrailTripwireTriggered"
    await gateway.stop()
    assert "raised" in await sdk(gateway, note, "a")
    assert not note.exists()
