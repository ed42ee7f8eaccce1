"""`detent policy lint`."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from tests.harness.tiny_bundle import write

Run = Callable[..., Result]
RULE = """\
package detent.rules.big

deny contains {"id": "too-big", "message": "Big."} if input.context.arguments.n > 5
"""
TABLE = '{"too-big": "It is too big."}'
MAIN = "\nloaded if data.detent.rules.big.deny\n"


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A bundle with one rule that a missing argument disarms."""
    bundle = write(tmp_path / "bundle")
    main = (bundle / "main.rego").read_text() + MAIN
    files = {"rules/big/big.rego": RULE, "main.rego": main, "reasons/data.yaml": TABLE}
    return write(bundle, {**files, ".manifest": '{"roots": ["detent", "reasons", "tools"]}'})


def test_what_is_found_exits_1_with_file_line_and_cure(detent: Run, bundle: Path) -> None:
    """One line each."""
    result = detent("policy", "lint", bundle)
    assert result.exit_code == 1, result.output
    first, *_ = result.output.splitlines()
    assert first.startswith("rules/big/big.rego:3: missing-argument: without arguments.n")
    assert "Cure: " in first


def test_the_report_for_machines_and_sarif_have_the_same(
    detent: Run, bundle: Path, tmp_path: Path
) -> None:
    """One finding."""
    file = tmp_path / "lint.sarif"
    found = json.loads(detent("policy", "lint", "--json", "--sarif", file, bundle).stdout)
    results = json.loads(file.read_text())["runs"][0]["results"]
    assert [one["rule"] for one in found["findings"]] == ["missing-argument"]
    assert [one["ruleId"] for one in results] == ["missing-argument"]


def test_a_clean_bundle_exits_0(detent: Run, bundle: Path) -> None:
    """And says so."""
    excepted = RULE.replace("deny contains", "# lint: missing-argument: see there\ndeny contains")
    write(bundle, {"rules/big/big.rego": excepted})
    result = detent("policy", "lint", bundle)
    assert (result.exit_code, result.output) == (0, "nothing found\n")


def test_what_cannot_be_parsed_exits_2(detent: Run, bundle: Path) -> None:
    """With its file."""
    result = detent("policy", "lint", write(bundle, {"rules/big/big.rego": "package x\n\n)"}))
    assert result.exit_code == 2
    assert "rules/big/big.rego" in result.stderr
