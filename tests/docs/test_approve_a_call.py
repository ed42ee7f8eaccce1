"""The how-to page on approvals: its commands run, its rule holds, what it shows is what comes."""

import asyncio
import json
import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from proxy.cli import main
from proxy.config import load_settings
from proxy.ingress.operator_approvals import SHOWN_CHARS
from proxy.pipeline.approve import PENDING_CAP
from tests.harness.fixtures import gateway, recorder, world
from tests.harness.gateway import Gateway
from tests.harness.recorder import Recorder
from tests.harness.world import World

__all__ = ["gateway", "recorder", "world"]

PAGE = (Path(__file__).parents[2] / "docs/how-to/approve-a-call.md").read_text()


def block(language: str) -> str:
    """Return the one block of a language."""
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return str(found)


async def typed(gateway: Gateway, line: str, approval_id: str) -> Result:
    """Run a line of the page as an operator would type it."""
    words = shlex.split(line.removeprefix("$ detent ").replace("apr_…", approval_id))
    environ = {
        "DETENT_URL": gateway.operators,
        "DETENT_OPERATOR_TOKEN": gateway.world.operator_token,
        "COLUMNS": "200",
    }
    return await asyncio.to_thread(CliRunner().invoke, main, words, env=environ)


async def test_the_commands_of_the_page_let_one_call_through(
    gateway: Gateway, recorder: Recorder
) -> None:
    """Held, listed, shown, approved, made; and held again."""
    _, first = await gateway.call("drop", {"text": "table 7"})
    approval_id = first["approval"]["id"]
    for line in block("console").splitlines():
        result = await typed(gateway, line, approval_id)
        assert result.exit_code == 0, result.output
        assert approval_id in result.output or "approve" in line
    assert (await gateway.call("drop", {"text": "table 7"}))[1]["outcome"] == "done"
    assert (await gateway.call("drop", {"text": "table 7"}))[1]["outcome"] == "pending_approval"
    assert recorder.bodies() == [{"text": "table 7"}]


async def test_the_answer_that_is_shown_is_the_one_that_comes(gateway: Gateway) -> None:
    """Member by member; ids and times differ."""
    status, answer = await gateway.call("drop", {"text": "x"})
    shown = json.loads(block("json"))
    assert status == 202
    assert {name: answer[name] for name in ("verdict", "outcome")} == {
        name: shown[name] for name in ("verdict", "outcome")
    }
    for given, told in zip(answer["reasons"], shown["reasons"], strict=True):
        assert given["id"] == told["id"]
        assert given["message"].startswith(told["message"].rstrip("…"))
    assert answer["approval"].keys() == shown["approval"].keys()


async def test_a_dry_run_tells_beforehand(gateway: Gateway, recorder: Recorder) -> None:
    """A preview with the verdict hold."""
    status, answer = await gateway.call("drop", {"text": "x"}, dry_run=True)
    assert (status, answer["outcome"], answer["verdict"]) == (200, "dry_run", "hold")
    assert recorder.received == []


async def test_the_rule_of_the_page_holds(world: World, recorder: Recorder) -> None:
    """101 waits for a person, 100 does not."""
    world.write()
    rule = world.bundle / "rules/large_amounts/large_amounts.rego"
    rule.parent.mkdir()
    rule.write_text(block("rego").replace("bank/transfer", "rec/write"))
    async with Gateway(world) as gateway:
        _, held = await gateway.call("write", {"n": 101})
        assert held["reasons"][0]["id"] == "amount-needs-approval"
        assert (await gateway.call("write", {"n": 100}))[1]["outcome"] == "done"
    assert recorder.bodies() == [{"n": 100}]


def test_the_settings_that_are_shown_load(tmp_path: Path) -> None:
    """And are the defaults where the page says so."""
    file = tmp_path / "detent.yaml"
    file.write_text(block("yaml").replace("<hash>", "0" * 64))
    shown = load_settings(file, {})
    assert shown.identity.operators[0].roles == ("approve",)
    file.write_text("{}")
    assert load_settings(file, {}).approvals == shown.approvals


@pytest.mark.parametrize(
    "told", [f"have {PENDING_CAP} of them", f"after {SHOWN_CHARS:,} characters", "15 minutes"]
)
def test_the_figures_are_those_of_the_code(told: str) -> None:
    """Nobody plans with wrong ones."""
    assert told in PAGE


def test_the_lines_for_curl_name_paths_there_are() -> None:
    """Those the command line uses."""
    paths = re.findall(r'\$DETENT_URL(/[^"?]*)', block("sh"))
    assert paths == ["/v1/approvals", "/v1/approvals/apr_…/approve"]
