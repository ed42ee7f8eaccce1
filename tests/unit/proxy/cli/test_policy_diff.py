"""`detent policy diff` on the tiny bundle."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from proxy.pdp.base import DECISION_PATH
from proxy.pdp.review.record import DecisionRecord
from tests.harness.tiny_bundle import DECISION, RULE, write

Run = Callable[..., Result]


@pytest.fixture
def sides(tmp_path: Path) -> tuple[Path, Path]:
    """A bundle, and one that refuses."""
    stricter = {"main.rego": RULE.replace('"allow"', '"deny"')}
    return write(tmp_path / "before"), write(write(tmp_path / "after"), stricter)


def report(result: Result) -> dict[str, int]:
    found: dict[str, int] = json.loads(result.output)
    return found


def test_suites_and_boundaries_are_asked_of_both(detent: Run, sides: tuple[Path, Path]) -> None:
    """Without a word."""
    result = detent("policy", "diff", *sides, "--json")
    found = report(result)
    assert result.exit_code == 1
    assert found["compared"] == found["flips"] > 1


def test_the_same_differs_in_nothing(detent: Run, sides: tuple[Path, Path]) -> None:
    """Exit code 0."""
    result = detent("policy", "diff", sides[0], sides[0], "--corpus", "suites", "--json")
    assert (result.exit_code, report(result)["compared"], report(result)["flips"]) == (0, 1, 0)


def test_a_log_and_a_list_are_asked(detent: Run, tmp_path: Path, sides: tuple[Path, Path]) -> None:
    """What was recorded does not count: both are asked."""
    asked = {"subject": {"tenant": "acme", "id": "a"}}
    answer = DECISION | {"verdict": "hold"}
    record = DecisionRecord("dec_1", "now", "acme", DECISION_PATH, asked, answer, "r")
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "decisions-1.jsonl").write_bytes(record.to_line())
    (tmp_path / "list.json").write_text(json.dumps([{"label": "a", "input": {}}]))
    corpora = ("--corpus", tmp_path / "log", "--corpus", tmp_path / "list.json")
    found = report(detent("policy", "diff", *sides, *corpora, "--json"))
    assert (found["compared"], found["flips"]) == (2, 2)


@pytest.mark.parametrize("content", ["{", "[1]", '[{"label": "a"}]'])
def test_what_is_no_corpus_is_refused(
    detent: Run, tmp_path: Path, sides: tuple[Path, Path], content: str
) -> None:
    """Exit code 2, and what to write."""
    file = tmp_path / "list.json"
    file.write_text(content)
    result = detent("policy", "diff", *sides, "--corpus", file)
    assert result.exit_code == 2
    assert "labelled inputs" in result.output
