"""Claude Code before a real gateway: what it asked when it was recorded, and what it does today.

The payloads were recorded from Claude Code; they are replayed always. The turns run Claude Code
itself, with a scripted model on loopback, where it is installed.
"""

import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from proxy.cli import main
from tests.harness.claude import Block, Model, find_claude, model, run_claude, use
from tests.harness.gateway import Gateway
from tests.harness.recorder import Recorder
from tests.harness.world import World

PAYLOADS = Path(__file__).with_name("payloads")
HOOKS = "/hooks/claude-code"
CLAUDE = find_claude()

needs_claude = pytest.mark.skipif(
    CLAUDE is None,
    reason="Claude Code is not installed: put `claude` on PATH or name it in TEST_CLAUDE",
)


def own(effect: str, **more: Any) -> dict[str, Any]:
    """Return a manifest entry of a tool that the agent runs itself."""
    return {"hooks": True, "effect": effect, "risk": 5, "returns": "trusted"} | more


TOOLS = {
    "Bash": own("write"),
    "Write": own("write"),
    "Read": own("read"),
    "Agent": own("read"),
    "CronCreate": own("write", constraints=[{"argument": "recurring", "one_of": [False]}]),
}


@pytest.fixture
async def gateway(tmp_path: Path, recorder: Recorder) -> AsyncIterator[Gateway]:
    """A gateway that has reviewed some of Claude Code's tools, and one of its own."""
    world = World(tmp_path / "detent", recorder.url)
    world.directory.mkdir()
    world.tools["claude-code"] = dict(TOOLS)
    async with Gateway(world) as running:
        yield running


def events(name: str) -> list[dict[str, Any]]:
    """Return what Claude Code posted in one recorded run."""
    recorded: list[dict[str, Any]] = json.loads((PAYLOADS / f"{name}.json").read_text())["events"]
    return recorded


async def replay(gateway: Gateway, name: str) -> list[tuple[str, dict[str, Any]]]:
    """Post a recorded run; a tool of the gateway is called over MCP where the agent called it."""
    said = []
    for event in events(name):
        status, answer = await gateway.ask("POST", HOOKS, event)
        assert status == 200, answer
        said.append((event["hook_event_name"], answer))
        ours = str(event.get("tool_name", "")).startswith("mcp__detent__")
        if ours and event["hook_event_name"] == "PreToolUse" and answer == {}:
            await call_over_mcp(gateway, event)
    return said


async def call_over_mcp(gateway: Gateway, event: dict[str, Any]) -> None:
    """Make the call that Claude Code makes after this hook, with the id it sends along."""
    name = event["tool_name"].removeprefix("mcp__detent__")
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "claudecode/toolUseId": event["tool_use_id"],
    }
    params = {"name": name, "arguments": event["tool_input"], "_meta": meta}
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    headers = {
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": "2026-07-28",
        "Mcp-Method": "tools/call",
        "Mcp-Name": name,
    }
    status, answer = await gateway.ask("POST", "/mcp", message, headers=headers)
    assert status == 200, answer


async def chain(gateway: Gateway, purpose: str = "claude-code ") -> list[dict[str, Any]]:
    """Return the steps of the newest session of a hook, oldest first."""
    _, found = await gateway.operate("GET", "/v1/sessions")
    session = next(one for one in found["sessions"] if one["purpose"].startswith(purpose))
    _, told = await gateway.operate("GET", f"/v1/chains/{session['id']}")
    steps: list[dict[str, Any]] = told["steps"][::-1]
    return steps


async def test_a_recorded_turn_is_one_chain(gateway: Gateway) -> None:
    """Every tool use is one step, budgeted once; the call over MCP stands among them."""
    said = await replay(gateway, "turn")
    assert [answer for _, answer in said] == [{}] * len(said)
    steps = await chain(gateway)
    assert [(step["tool"], step["state"], step.get("tier")) for step in steps] == [
        ("claude-code/Bash", "done", "C"),
        ("claude-code/Write", "done", "C"),
        ("claude-code/Read", "failed", "C"),
        ("claude-code/Bash", "failed", "C"),
        ("claude-code/CronCreate", "done", "C"),
        ("rec/read", "done", "B"),
    ]
    _, found = await gateway.operate("GET", "/v1/sessions")
    assert {one["state"] for one in found["sessions"] if not one["implicit"]} == {"ended"}


async def test_a_tool_use_its_person_refused_is_closed(gateway: Gateway) -> None:
    """Nobody told what became of it: unknown, and its points are spent."""
    await replay(gateway, "permission")
    (step,) = await chain(gateway)
    assert (step["state"], step["detail"]) == ("unknown", "the agent reported no result")


async def test_a_sub_agent_is_part_of_the_chain(gateway: Gateway) -> None:
    """Its tools are asked about like any other."""
    await replay(gateway, "subagent")
    steps = await chain(gateway)
    assert [step["tool"] for step in steps] == ["claude-code/Agent", "claude-code/Bash"]
    assert {step["state"] for step in steps} == {"done"}


async def test_a_recorded_run_under_a_kill_stops_at_once(gateway: Gateway) -> None:
    """Every event that can stop the agent does; nothing is reserved."""
    await gateway.operate("POST", "/killswitch", {"reason": "drill"})
    for name in ("turn", "permission", "subagent", "elicitation"):
        for event, answer in await replay(gateway, name):
            assert event == "SessionEnd" or answer["continue"] is False
            asked = answer.get("hookSpecificOutput", {})
            assert event != "PreToolUse" or asked["permissionDecision"] == "deny"
    assert (await gateway.operate("GET", "/v1/intents?state=sending"))[1] == {"intents": []}


async def test_a_loop_is_capped_by_the_policy(gateway: Gateway) -> None:
    """A schedule that fires for ever is no schedule that fires once."""
    event = next(one for one in events("turn") if one.get("tool_name") == "CronCreate")
    event["tool_input"] = event["tool_input"] | {"recurring": True}
    _, answer = await gateway.ask("POST", HOOKS, event)
    assert answer["hookSpecificOutput"]["permissionDecision"] == "deny"
    assert "value-not-in-enumeration" in answer["hookSpecificOutput"]["permissionDecisionReason"]


Turn = Callable[..., Awaitable[tuple[Model, str]]]


@pytest.fixture
def turn(gateway: Gateway, tmp_path: Path) -> Turn:
    """Run turns of the model in a project that `detent install` has made ready."""
    project = tmp_path / "project"
    project.mkdir()

    async def run(*turns: list[Block], url: str = "", allow: str = "Bash") -> tuple[Model, str]:
        command = ["install", "claude-code", "--project", str(project)]
        command += ["--url", url or gateway.agents, "--claude", str(CLAUDE)]
        installed = CliRunner().invoke(main, command)
        assert installed.exit_code == 0, installed.output
        async with model(*turns) as served:
            arguments = ("--allowedTools", allow, "--mcp-config", str(project / ".mcp.json"))
            token = gateway.world.agent_token
            _, output = await run_claude(str(CLAUDE), project, served, token, *arguments)
        return served, output

    return run


@needs_claude
async def test_an_allowed_tool_runs(gateway: Gateway, turn: Turn) -> None:
    """And is settled as done."""
    served, _ = await turn([use(1, "Bash", command="echo from-a-shell")])
    assert served.told == ["from-a-shell"]
    (step,) = await chain(gateway)
    assert (step["tool"], step["state"]) == ("claude-code/Bash", "done")


@needs_claude
async def test_a_denied_tool_does_not_run(gateway: Gateway, turn: Turn) -> None:
    """Its model reads why; nothing was reserved."""
    cron = use(1, "CronCreate", cron="*/5 * * * *", prompt="check", recurring=True)
    served, _ = await turn([cron], allow="CronCreate")
    (told,) = served.told
    assert "value-not-in-enumeration" in told
    assert await chain(gateway) == []


@needs_claude
async def test_a_held_tool_waits_for_an_operator_and_then_runs_once(
    gateway: Gateway, turn: Turn, tmp_path: Path
) -> None:
    """Sent again after the approval; the third time it is held again."""
    gateway.world.data("tools/claude-code", TOOLS | {"Bash": own("irreversible")})
    assert (await gateway.operate("POST", "/v1/policy/reload"))[0] == 200
    made = tmp_path / "made"
    command = f"echo once >> {made}"
    served, _ = await turn([use(1, "Bash", command=command)])
    assert "approval-pending" in served.told[0]
    assert not made.exists()
    _, waiting = await gateway.operate("GET", "/v1/approvals")
    (asked,) = waiting["approvals"]
    await gateway.operate("POST", f"/v1/approvals/{asked['id']}/approve", {})
    served, _ = await turn([use(2, "Bash", command=command)], [use(3, "Bash", command=command)])
    assert made.read_text() == "once\n"
    assert "approval-pending" in served.told[-1]


@needs_claude
async def test_a_kill_ends_the_turn(gateway: Gateway, turn: Turn, tmp_path: Path) -> None:
    """The tool does not run and the model is not asked again."""
    await gateway.operate("POST", "/killswitch", {"scope": "tool:claude-code/Bash"})
    made = tmp_path / "made"
    served, _ = await turn([use(1, "Bash", command=f"touch {made}")])
    assert (served.asked, served.told, made.exists()) == (1, [], False)


@needs_claude
async def test_without_the_gateway_nothing_runs(turn: Turn, tmp_path: Path) -> None:
    """Not even the prompt goes to the model: its hook has to be answered too."""
    made = tmp_path / "made"
    served, output = await turn([use(1, "Bash", command=f"touch {made}")], url="http://127.0.0.1:1")
    assert (served.asked, made.exists()) == (0, False)
    assert 'onFailure is "block"' in output


@needs_claude
async def test_a_gateway_that_dies_meanwhile_stops_the_turn(
    gateway: Gateway, turn: Turn, tmp_path: Path
) -> None:
    """What the first tool did can be told to nobody, so there is no second one."""
    made = tmp_path / "made"
    served, output = await turn(
        [use(1, "Bash", command=f"kill -9 {gateway.pid}")],
        [use(2, "Bash", command=f"touch {made}")],
    )
    assert not made.exists()
    assert 'onFailure is "block"' in output
    assert (served.asked, served.told) == (1, [])


@needs_claude
async def test_a_call_over_mcp_is_a_step_of_the_same_chain(
    gateway: Gateway, turn: Turn, recorder: Recorder
) -> None:
    """Asked about by the hook, carried by the gateway, budgeted once."""
    _, output = await turn(
        [use(1, "Bash", command="true")],
        [use(2, "mcp__detent__rec__write", text="hello")],
        allow="Bash mcp__detent__rec__write",
    )
    assert recorder.bodies() == [{"text": "hello"}], output
    steps = await chain(gateway)
    assert [step["tool"] for step in steps] == ["claude-code/Bash", "rec/write"]
    assert sum(step["risk"] for step in steps) == 6


@needs_claude
async def test_a_secret_that_a_tool_shows_does_not_reach_the_model(
    gateway: Gateway, turn: Turn
) -> None:
    """Its own token, from its own environment: redacted, the agent locked, the turn over."""
    served, output = await turn([use(1, "Bash", command="env")])
    token = gateway.world.agent_token
    assert all(token not in told for told in served.told)
    assert served.asked == 1
    assert token not in output
    assert os.environ.get("DETENT_TOKEN") is None
    _, answer = await gateway.ask("POST", HOOKS, events("turn")[0])
    assert "agent-locked" in answer["stopReason"]
