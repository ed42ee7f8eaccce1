"""Outcomes of Rego tests and suites."""

import pytest

from proxy.pdp.findings.finding import Finding
from proxy.pdp.findings.outcome import COVERAGE, REGO, SUITES, Outcome, outcomes
from proxy.pdp.rego_tests import RegoCase, RegoReport
from proxy.pdp.suites import Case, CaseResult

CASE = Case("a: c", "repo/log", {}, {}, {}, "suites/a.yaml", 7)
PASSED = RegoCase("a_test.test_x", True, "a_test.rego", 3)
FAILED = RegoCase("a_test.test_y", False, "a_test.rego", 9)


def test_every_test_has_its_outcome_and_its_place() -> None:
    """Rego tests, cases, coverage."""
    rego = RegoReport(1, ("a_test.test_y",), 100.0, (), (PASSED, FAILED))
    good, bad = {"verdict": "allow"}, {"verdict": "deny"}
    results = [CaseResult("a: c", good, good, CASE), CaseResult("a: c", good, bad, CASE)]
    assert list(outcomes(rego, results, 95.0)) == [
        Outcome(REGO, "a_test.test_x", "a_test.rego", 3),
        Outcome(REGO, "a_test.test_y", "a_test.rego", 9, "the test a_test.test_y does not pass"),
        Outcome(SUITES, "a: c", "suites/a.yaml", 7),
        Outcome(SUITES, "a: c", "suites/a.yaml", 7, "a: c: verdict is deny, not allow"),
        Outcome(COVERAGE, "at least 95 % of lines", "", 1),
    ]


@pytest.mark.parametrize(
    ("gaps", "file", "line", "told"),
    [
        (
            ("a.rego:5", "b.rego:6"),
            "a.rego",
            5,
            "50.0 % of lines are tested, not a.rego:5, b.rego:6",
        ),
        ((), ".manifest", 1, "50.0 % of lines are tested"),
    ],
)
def test_too_little_coverage_is_at_the_first_line_no_test_reaches(
    gaps: tuple[str, ...], file: str, line: int, told: str
) -> None:
    """Without one, at the bundle itself."""
    (outcome,) = outcomes(RegoReport(1, (), 50.0, gaps), (), 95.0)
    assert (outcome.file, outcome.line, outcome.problem) == (file, line, told)


def test_a_case_nobody_knows_the_place_of_is_in_the_suites() -> None:
    """An engine may be asked without a file."""
    first, _ = outcomes(RegoReport(1, (), 100.0, ()), [CaseResult("a: c", {}, {})], 95.0)
    assert (first.file, first.line) == ("suites", 1)


def test_a_failed_outcome_is_a_finding_with_a_cure() -> None:
    """Of its kind."""
    found = Outcome(SUITES, "a: c", "suites/a.yaml", 7, "it differs").finding()
    cure = "correct the rule, or what the suite expects"
    assert found == Finding("suites/a.yaml", 7, SUITES, "it differs", cure)
