"""The decision log of a real gateway: nothing secret in it, and replayed it decides the same."""

import asyncio
import json
import shutil
import stat
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from proxy.cli import main
from tests.harness.gateway import Gateway
from tests.harness.recorder import Recorder
from tests.harness.tiny_bundle import write
from tests.harness.world import TEXT, World, http_tool

SECRET = "hunter2-and-more"
LOGIN = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "user": TEXT,
        "phrase": {"type": "string", "writeOnly": True},
        "note": TEXT,
        "pair": {"type": "array", "items": TEXT},
    },
}
TEN_AT_MOST = """package detent.rules.ten

import data.detent.lib.reasons
import future.keywords.not

deny contains reasons.of("value-over-cap") if {
	input.resource.id == "rec/login"
	not count(input.context.arguments.note) <= LIMIT
}
"""
CALLS: list[dict[str, Any]] = [
    {"user": "ann", "phrase": SECRET, "note": "short"},
    {"user": "ann", "phrase": SECRET, "note": f"it is {SECRET}", "pair": [SECRET, SECRET]},
    {"user": "bob", "note": "much too long"},
    {"user": "bob", "note": "x" * 300},
]


@pytest.fixture
def logged(world: World) -> World:
    """A gateway with a decision log, and a tool with a secret argument."""
    body = ["user", "phrase", "note", "pair"]
    login = http_tool("POST", "/login", "write", body=body, input_schema=LOGIN)
    world.tools["rec"]["login"] = login
    world.settings = {"policy": {"bundle": "policies", "deadline": "2s", "log": "var/decisions"}}
    world.write()
    write(world.bundle, {"rules/ten/ten.rego": TEN_AT_MOST.replace("LIMIT", "10")})
    return world


async def calls(world: World) -> list[dict[str, Any]]:
    """Make the calls; return what agents were answered, once the gateway has ended."""
    async with Gateway(world) as gateway:
        return [(await gateway.call("login", call))[1] for call in CALLS]


def records(world: World) -> list[dict[str, Any]]:
    """Return every record of the log."""
    files = sorted((world.directory / "var" / "decisions").iterdir())
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


async def detent(*words: str | Path) -> Result:
    """Run a command in a thread."""
    return await asyncio.to_thread(CliRunner().invoke, main, [str(word) for word in words])


def candidate(world: World, directory: Path, limit: str) -> Path:
    """Return a copy of the policies that lets notes be longer."""
    shutil.copytree(world.bundle, directory)
    write(directory, {"rules/ten/ten.rego": TEN_AT_MOST.replace("LIMIT", limit)})
    return directory


async def test_every_decision_is_logged_and_no_secret(logged: World, recorder: Recorder) -> None:
    """Under the id the agent got; only the owner may read it; equal values stay equal in one."""
    answers = await calls(logged)
    log = records(logged)
    assert [one["decision_id"] for one in log] == [one["decision_id"] for one in answers]
    assert [one["answer"]["verdict"] for one in log] == ["allow", "deny", "deny", "deny"]
    assert SECRET not in json.dumps(log)
    first, second = log[1]["input"]["context"]["arguments"]["pair"]
    assert first == second != log[0]["input"]["context"]["arguments"]["phrase"]
    assert log[0]["input"]["context"]["arguments"]["user"] == "ann"
    directory = logged.directory / "var" / "decisions"
    (file,) = directory.iterdir()
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (directory, file)]
    assert modes == [0o700, 0o600]


async def test_replayed_on_its_own_policies_nothing_flips(
    logged: World, recorder: Recorder
) -> None:
    """Faithful: each decision is the same, or it is told that it cannot be asked again."""
    await calls(logged)
    directory = logged.directory / "var" / "decisions"
    same = ("--baseline", logged.bundle, "--candidate", logged.bundle)
    result = await detent("policy", "replay", directory, *same, "--json")
    report = json.loads(result.output)
    assert result.exit_code == 0
    assert (report["compared"], report["flips"], report["unreplayable"]) == (4, 0, {})


async def test_a_looser_candidate_is_over_the_budget(
    logged: World, recorder: Recorder, tmp_path: Path
) -> None:
    """The calls that it would let through are told, in text, JSON and Markdown."""
    answers = await calls(logged)
    loose = candidate(logged, tmp_path / "loose", "20")
    directory = logged.directory / "var" / "decisions"
    sides = ("--baseline", logged.bundle, "--candidate", loose)
    result = await detent(
        "policy", "replay", directory, *sides, "--markdown", tmp_path / "review.md"
    )
    assert result.exit_code == 1, result.output
    assert "new permission" in result.output
    assert answers[2]["decision_id"] in result.output
    assert answers[3]["decision_id"] not in result.output
    assert "value-over-cap" in (tmp_path / "review.md").read_text()
    allowed = await detent("policy", "replay", directory, *sides, "--max-flips", "5")
    assert allowed.exit_code == 0


async def test_a_decision_is_explained(logged: World, recorder: Recorder) -> None:
    """The rule, its sentence as the agent got it, its place, and what it looked at."""
    answers = await calls(logged)
    directory = logged.directory / "var" / "decisions"
    refused = answers[2]
    told = await detent(
        "policy", "explain", refused["decision_id"], "--log", directory, "--bundle", logged.bundle
    )
    assert told.exit_code == 0, told.output
    assert told.output.startswith("deny: acme/tester asked for rec/login")
    assert "ten refuses it: value-over-cap" in told.output
    assert refused["reasons"][0]["message"] in told.output
    assert "in rules/ten/ten.rego:6" in told.output
    assert 'context.arguments.note = "much too long"' in told.output


async def test_an_operator_asks_a_gateway_why(logged: World, recorder: Recorder) -> None:
    """The same explanation, while calls go on; an agent learns nothing there."""
    async with Gateway(logged) as gateway:
        _, refused = await gateway.call("login", CALLS[2])
        place = f"{gateway.operators}/v1/decisions/{refused['decision_id']}/explanation"
        told = await polled(gateway, place, logged.operator_token)
        assert told["verdict"] == "deny"
        assert ("ten", "value-over-cap") in [(one["rule"], one["reason"]) for one in told["fired"]]
        assert told["note"] == ""
        headers = {"Authorization": f"Bearer {logged.agent_token}"}
        async with gateway.http.get(place, headers=headers) as answer:
            assert answer.status == 403


async def polled(gateway: Gateway, place: str, token: str) -> dict[str, Any]:
    """Ask until the record is written."""
    headers = {"Authorization": f"Bearer {token}"}
    async with asyncio.timeout(30):
        while True:
            async with gateway.http.get(place, headers=headers) as answer:
                if answer.status == 200:
                    found: dict[str, Any] = await answer.json()
                    return found
            await asyncio.sleep(0.1)
