"""The how-to page on reviewing a change: its settings load, its commands run, its words exist."""

import json
import re
import shlex
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from proxy.cli import main
from proxy.cli.policy_review import LIMITS
from proxy.config import Settings
from proxy.observability.metrics import LOGGED, Metrics
from proxy.pdp.base import DECISION_PATH, MASK_PATH
from proxy.pdp.review.log import Logged
from proxy.pdp.review.outcome import FLIPS, Change
from proxy.pdp.review.record import MEMBERS, DecisionRecord
from tests.harness.tiny_bundle import DECISION, write

PAGE = (Path(__file__).parents[2] / "docs/how-to/review-a-policy-change.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_the_settings_of_the_page_load() -> None:
    """A directory, and a block with the same one."""
    short, long = (
        Settings.model_validate(yaml.safe_load(one)).policy.log for one in blocks("yaml")
    )
    assert short is not None
    assert long is not None
    assert short.directory == long.directory == Path("var/decisions")
    assert (short.file_bytes, short.files) == (64 * 1024 * 1024, 16)
    assert "64 MiB" in PAGE
    assert "newest 16" in PAGE


def test_the_commands_of_the_page_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On two directories, a log and a list."""
    monkeypatch.chdir(tmp_path)
    for name in ("policies", "changed"):
        write(tmp_path / name)
    record = DecisionRecord("dec_1", "now", "acme", DECISION_PATH, {}, DECISION, "r")
    (tmp_path / "var/decisions").mkdir(parents=True)
    (tmp_path / "var/decisions/decisions-1.jsonl").write_bytes(record.to_line())
    (tmp_path / "inputs.json").write_text(json.dumps([{"label": "a", "input": {}}]))
    lines = [line for block in blocks("console") for line in block.splitlines()]
    assert len(lines) == 4
    for line in lines:
        words = shlex.split(line.removeprefix("$ detent ").replace("dec_…", "dec_1"))
        result = CliRunner().invoke(main, words)
        assert result.exit_code == 0, result.output


def test_every_change_and_every_limit_is_on_the_page() -> None:
    """And what is a flip."""
    assert [change for change in Change if f"`{change}`" not in PAGE] == []
    rows = PAGE.split("| change | |\n|---|---|\n")[1].splitlines()[:3]
    assert {change for change in Change if any(f"`{change}`" in row for row in rows)} == {*FLIPS}
    assert set(re.findall(r"--max-(\w+)", PAGE)) == set(LIMITS)


def test_every_member_of_a_record_and_every_result_is_on_the_page() -> None:
    """The names in the file and in the scrape."""
    assert [member for member in MEMBERS if f"`{member}`" not in PAGE] == []
    assert set(LOGGED) == {str(one) for one in Logged}
    assert [result for result in LOGGED if f"`{result}`" not in PAGE] == []
    assert "detent_decision_log_total{" in Metrics("1").render().decode()
    assert f"/v1/data/{MASK_PATH}" in PAGE
    assert f"`{DECISION_PATH}`" in PAGE
