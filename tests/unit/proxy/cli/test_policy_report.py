"""The report of `detent policy test`."""

from pathlib import Path

import pytest

from proxy.app.policies import PolicyReport
from proxy.cli.policy_report import print_cases, text, write_reports
from proxy.pdp.findings.finding import Finding
from proxy.pdp.rego_tests import RegoReport
from proxy.pdp.suites import Case, CaseResult

QUESTION = {
    "subject": {"roles": ["reader", "triager"]},
    "context": {"session": {"mode": "dry_run"}},
}
CASE = Case("a: c", "repo/log", QUESTION, {}, {})
ALLOWED = {"verdict": "allow", "reasons": ["role-allows-tool"]}
DENIED = {"verdict": "deny", "reasons": ["unknown-tool"]}
LACK = Finding("rules/a/a.rego", 1, "rule-incomplete", "a has no page", "write it")


def report(*results: CaseResult, incomplete: tuple[Finding, ...] = ()) -> PolicyReport:
    """Return a report whose Rego is well."""
    failures = tuple(result.explain() for result in results if not result.passed)
    rego = RegoReport(3, (), 100.0, ())
    return PolicyReport("sha256:x", rego, 1, failures, results, incomplete)


def test_a_report_in_lines_ends_with_the_revision() -> None:
    """What a rule lacks stands before it."""
    lines = text(report(incomplete=(LACK,)), 95).splitlines()
    assert lines[0] == "rego tests: 3 passed, 0 failed"
    assert lines[-2:] == [f"incomplete: {LACK}", "revision:   sha256:x"]


@pytest.mark.parametrize(
    ("got", "decided"),
    [
        (ALLOWED, "allow role-allows-tool"),
        (DENIED, "deny unknown-tool, not allow role-allows-tool"),
        ({"verdict": None, "reasons": None}, "None, not allow role-allows-tool"),
    ],
)
def test_a_row_says_what_was_decided_and_what_was_expected(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    got: dict[str, object],
    decided: str,
) -> None:
    """What nobody knows the question of is no row."""
    monkeypatch.setenv("COLUMNS", "200")
    print_cases([CaseResult("a: c", ALLOWED, got, CASE), CaseResult("b: d", ALLOWED, got)])
    out = capsys.readouterr().out
    assert decided in out
    assert "reader, triager" in out
    assert "b: d" not in out


def test_only_the_reports_that_are_asked_for_are_written(tmp_path: Path) -> None:
    """None, or one."""
    write_reports(report(), 95, None, None)
    assert list(tmp_path.iterdir()) == []
    write_reports(report(incomplete=(LACK,)), 95, None, tmp_path / "s.sarif")
    assert "a has no page" in (tmp_path / "s.sarif").read_text()
