"""The outcome of one test of a bundle, of whatever kind, and the finding a failed one is."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from proxy.pdp.findings.finding import Finding
from proxy.pdp.rego_tests import RegoReport
from proxy.pdp.suites import CaseResult

REGO, SUITES, COMPLETE, COVERAGE = "rego-test", "suite", "rule-incomplete", "not-covered"

ABOUT: Mapping[str, str] = {
    REGO: "Every Rego test passes.",
    SUITES: "Every case of the suites is decided as it says.",
    COMPLETE: "Every rule has a test, a page and a suite.",
    COVERAGE: "The Rego tests reach enough lines.",
}
_CURES: Mapping[str, str] = {
    REGO: "correct the rule or the test",
    SUITES: "correct the rule, or what the suite expects",
    COVERAGE: "add a test that reaches it",
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """`kind` is a key of ABOUT; `problem` is empty when the test passed."""

    kind: str
    name: str
    file: str
    line: int
    problem: str = ""

    def finding(self) -> Finding:
        """Return what a failed test is for a reader of findings."""
        return Finding(self.file, self.line, self.kind, self.problem, _CURES[self.kind])


def outcomes(rego: RegoReport, results: Iterable[CaseResult], coverage: float) -> Iterator[Outcome]:
    """Yield every test, and one outcome for the coverage; `coverage` is the least, in percent."""
    for one in rego.cases:
        problem = "" if one.is_passed else f"the test {one.name} does not pass"
        yield Outcome(REGO, one.name, one.file, one.line, problem)
    for result in results:
        file, line = (result.case.file, result.case.line) if result.case else ("suites", 1)
        yield Outcome(SUITES, result.name, file, line, "" if result.passed else result.explain())
    yield _coverage(rego, coverage)


def _coverage(rego: RegoReport, least: float) -> Outcome:
    name = f"at least {least:g} % of lines"
    if rego.coverage >= least:
        return Outcome(COVERAGE, name, "", 1)
    file, _, line = next(iter(rego.not_covered), ".manifest:1").partition(":")
    shown = ", ".join(rego.not_covered[:5])
    told = f"{rego.coverage:.1f} % of lines are tested" + (f", not {shown}" if shown else "")
    return Outcome(COVERAGE, name, file, int(line), told)
