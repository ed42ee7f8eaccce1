"""What `detent policy test` found, for people and for the machines that read their reports."""

import importlib.metadata
from collections.abc import Iterable, Iterator
from pathlib import Path

from proxy.app.policies import PolicyReport
from proxy.cli.plain import plain
from proxy.cli.tables import print_table
from proxy.pdp.findings.junit import junit
from proxy.pdp.findings.outcome import ABOUT
from proxy.pdp.findings.sarif import sarif
from proxy.pdp.suites import CaseResult

COLUMNS = ("case", "role", "tool", "mode", "decided")


def text(report: PolicyReport, coverage: float) -> str:
    """Return the report in lines; `coverage` is the least, in percent."""
    rego = report.rego
    lines = [f"rego tests: {rego.passed} passed, {len(rego.failures)} failed"]
    lines += [f"  failed: {name}" for name in rego.failures]
    least = f"(at least {coverage:g})"
    lines.append(f"coverage:   {rego.coverage:.1f} % of lines in the least tested folder {least}")
    lines += [f"  not covered: {place}" for place in rego.not_covered]
    failed = len(report.suite_failures)
    lines.append(f"suites:     {report.suites_passed} cases passed, {failed} failed")
    lines += [f"  failed: {failure}" for failure in report.suite_failures]
    lines += [f"incomplete: {finding}" for finding in report.incomplete]
    lines.append(f"revision:   {report.revision}")
    return plain("\n".join(lines))


def print_cases(results: Iterable[CaseResult]) -> None:
    """Print every case of the suites as a row: who, what, how, and what was decided."""
    print_table(COLUMNS, _rows(results))


def write_reports(
    report: PolicyReport, coverage: float, junit_file: Path | None, sarif_file: Path | None
) -> None:
    """Write the JUnit and the SARIF report, those that are asked for."""
    outcomes = report.outcomes(coverage)
    if junit_file is not None:
        junit_file.write_text(junit(outcomes, report.incomplete))
    if sarif_file is not None:
        failed = [outcome.finding() for outcome in outcomes if outcome.problem]
        version = importlib.metadata.version("detent")
        sarif_file.write_text(sarif([*failed, *report.incomplete], ABOUT, version) + "\n")


def _rows(results: Iterable[CaseResult]) -> Iterator[tuple[str, ...]]:
    for result in results:
        if result.case is None:
            continue
        given = result.case.decision
        decided = _told(result.got)
        yield (
            result.name,
            ", ".join(given["subject"]["roles"]),
            result.case.tool,
            str(given["context"]["session"]["mode"]),
            decided if result.passed else f"{decided}, not {_told(result.expected)}",
        )


def _told(outcome: dict[str, object]) -> str:
    reasons = outcome["reasons"]
    return " ".join([str(outcome["verdict"]), *(reasons if isinstance(reasons, list) else ())])
