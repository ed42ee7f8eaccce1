"""`detent policy replay` on a log of two lines."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from proxy.pdp.base import DECISION_PATH
from proxy.pdp.review.record import DecisionRecord
from tests.harness.tiny_bundle import BROKEN_RULE, DECISION, RULE, write

Run = Callable[..., Result]


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A bundle that allows everything."""
    return write(tmp_path / "bundle")


@pytest.fixture
def stricter(tmp_path: Path) -> Path:
    """One that allows nothing."""
    return write(write(tmp_path / "stricter"), {"main.rego": RULE.replace('"allow"', '"deny"')})


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A record, and half of one."""
    asked = {"subject": {"tenant": "acme", "id": "a"}, "resource": {"id": "rec/read"}}
    record = DecisionRecord("dec_1", "now", "acme", DECISION_PATH, asked, DECISION, "sha256:x")
    file = tmp_path / "decisions.jsonl"
    file.write_bytes(record.to_line() + record.to_line()[:40] + b"\n")
    return file


def test_the_same_policies_have_no_flip(detent: Run, bundle: Path, log: Path) -> None:
    """The broken line is told."""
    result = detent("policy", "replay", log, "--candidate", bundle, "--baseline", bundle, "--json")
    report = json.loads(result.output)
    assert result.exit_code == 0
    assert (report["compared"], report["unreplayable"]) == (1, {"the line is broken": ["line 2"]})


@pytest.mark.parametrize("with_baseline", [True, False])
def test_a_stricter_candidate_is_told(
    detent: Run, bundle: Path, stricter: Path, log: Path, with_baseline: bool
) -> None:
    """With a baseline, and against what was recorded."""
    baseline = ["--baseline", bundle] if with_baseline else []
    result = detent("policy", "replay", log, "--candidate", stricter, *baseline)
    assert result.exit_code == 1
    assert "new refusal: allow [fine] → deny [fine]" in result.output


def test_a_broken_candidate_is_no_finding(detent: Run, tmp_path: Path, log: Path) -> None:
    """Exit code 2."""
    broken = write(tmp_path / "broken", {"main.rego": BROKEN_RULE})
    assert detent("policy", "replay", log, "--candidate", broken).exit_code == 2
