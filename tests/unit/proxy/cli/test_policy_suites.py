import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from tests.harness.tiny_bundle import BROKEN_RULE, FAILING_SUITE, RULE, TESTS, write

Run = Callable[..., Result]


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A bundle whose tests and suite pass."""
    return write(tmp_path / "bundle")


def test_a_good_bundle_exits_0_and_is_counted(detent: Run, bundle: Path) -> None:
    """Tests, coverage, suites, revision."""
    result = detent("policy", "test", bundle)
    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[:3] == [
        "rego tests: 2 passed, 0 failed",
        "coverage:   100.0 % of lines in the least tested folder (at least 95)",
        "suites:     1 cases passed, 0 failed",
    ]
    assert "revision:   sha256:" in result.output


def test_the_report_for_machines_is_one_document(detent: Run, bundle: Path) -> None:
    """The same figures."""
    report = json.loads(detent("policy", "test", "--json", bundle).output)
    assert (report["rego"]["passed"], report["suites_passed"]) == (2, 1)


UNTESTED = "\nother := 1 if input.never\n"
FINDINGS = [
    ({"main_test.rego": TESTS.replace("== 1", "== 2")}, "failed: detent.main_test.test_visible"),
    ({"suites/reads.yaml": FAILING_SUITE}, "failed: reads: anybody reads: verdict is allow"),
    ({"main.rego": RULE + UNTESTED}, "not covered: main.rego:"),
]


@pytest.mark.parametrize(("files", "told"), FINDINGS)
def test_what_fails_exits_1_and_is_named(
    detent: Run, bundle: Path, files: dict[str, str], told: str
) -> None:
    """A Rego test, a case of a suite, a line without a test."""
    result = detent("policy", "test", "--coverage", "100", write(bundle, files))
    assert result.exit_code == 1
    assert told in result.output


def test_a_rule_without_suite_page_and_test_exits_1(detent: Run, bundle: Path) -> None:
    """Nobody could review it."""
    rule = "package detent.rules.big\n\nx := 1\n"
    result = detent("policy", "test", "--coverage", "0", write(bundle, {"rules/b.rego": rule}))
    assert result.exit_code == 1
    told = [line for line in result.output.splitlines() if line.startswith("incomplete: ")]
    assert [line.split(". ")[0].rsplit(" ", 1)[1] for line in told] == ["test", "page", "suite"]


def test_every_case_is_a_row_of_the_table(detent: Run, bundle: Path) -> None:
    """Who, what, how, and what was decided."""
    lines = detent("policy", "test", "--table", bundle).output.splitlines()
    (row,) = [line for line in lines if "anybody reads" in line]
    assert [cell.strip() for cell in row.split("│")[2:6]] == [
        "any",
        "rec/read",
        "read_write",
        "allow fine",
    ]


def test_reports_are_written_for_machines(detent: Run, bundle: Path, tmp_path: Path) -> None:
    """What fails is in both."""
    junit, sarif = tmp_path / "j.xml", tmp_path / "s.sarif"
    write(bundle, {"suites/reads.yaml": FAILING_SUITE})
    assert detent("policy", "test", "--junit", junit, "--sarif", sarif, bundle).exit_code == 1
    assert 'failures="1"' in junit.read_text()
    (result,) = json.loads(sarif.read_text())["runs"][0]["results"]
    assert result["locations"][0]["physicalLocation"] == {
        "artifactLocation": {"uri": "suites/reads.yaml"},
        "region": {"startLine": 5},
    }


def test_a_bundle_that_cannot_be_loaded_exits_2(detent: Run, bundle: Path) -> None:
    """With file, line and cure."""
    result = detent("policy", "test", write(bundle, {"main.rego": BROKEN_RULE}))
    assert result.exit_code == 2
    assert "detent: main.rego:4: " in result.stderr
    assert "Cure" in result.stderr


def test_a_bundle_that_is_not_there_is_a_usage_error(detent: Run, tmp_path: Path) -> None:
    """Nothing is guessed."""
    assert detent("policy", "test", tmp_path / "none").exit_code == 2
