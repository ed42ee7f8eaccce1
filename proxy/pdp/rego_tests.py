"""`opa test` on a bundle's source: what passed, what failed, what no test reaches."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from proxy.errors import PolicyInvalid
from proxy.pdp.capabilities import CAPABILITIES
from proxy.pdp.opa_command import run_opa

TEST_TIMEOUT_S = 120.0
ONE_TEST_TIMEOUT = "30s"


@dataclass(frozen=True, slots=True)
class RegoCase:
    """One test, or one case of a table; `file` and `line` tell where the test stands."""

    name: str
    is_passed: bool
    file: str
    line: int


@dataclass(frozen=True, slots=True)
class RegoReport:
    """`passed` counts cases, `failures` names the failed and the skipped ones.

    `coverage` is that of the folder which has least, in percent of lines that are no test, and 0
    when a test failed; `not_covered` holds `file:line`.
    """

    passed: int
    failures: tuple[str, ...]
    coverage: float
    not_covered: tuple[str, ...]
    cases: tuple[RegoCase, ...] = field(default=(), compare=False, repr=False)

    def is_good(self, threshold: float) -> bool:
        """Whether every test passed and `threshold` percent are covered."""
        return self.passed > 0 and not self.failures and self.coverage >= threshold


def opa_test(directory: Path, opa: Path) -> RegoReport:
    """Run the tests of a bundle's source. Blocks for seconds: call it in a thread.

    Raises PolicyInvalid when they cannot be run at all.
    """
    results = _run(opa, directory, ()) or []
    cases = tuple(case for result in results for case in _cases_of(result))
    failures = tuple(case.name for case in cases if not case.is_passed)
    if failures or not cases:
        return RegoReport(len(cases) - len(failures), failures, 0.0, (), cases)
    coverage = _run(opa, directory, ("--coverage",)) or {}
    tested = {
        file: report
        for file, report in sorted(coverage.get("files", {}).items())
        if not file.endswith("_test.rego")
    }
    gaps = (
        f"{file}:{span['start']['row']}"
        for file, report in tested.items()
        for span in report.get("not_covered") or ()
    )
    return RegoReport(len(cases), (), _least(tested), tuple(dict.fromkeys(gaps)), cases)


def _least(tested: dict[str, dict[str, Any]]) -> float:
    """Return the coverage of the folder that has least: a rule must not hide behind the others."""
    reached: Counter[str] = Counter()
    missed: Counter[str] = Counter()
    for file, report in tested.items():
        folder = file.rpartition("/")[0]
        reached[folder] += report.get("covered_lines") or 0
        missed[folder] += report.get("not_covered_lines") or 0
    shares = (
        100 * reached[one] / (reached[one] + missed[one])
        for one in reached
        if reached[one] + missed[one]
    )
    return min(shares, default=0.0)


def _cases_of(result: dict[str, Any]) -> Iterator[RegoCase]:
    """Yield a test, or each of its cases."""
    place = result.get("location") or {}
    at = (str(place.get("file", "")).removeprefix("/"), int(place.get("row", 1)))
    name = f"{result['package'].removeprefix('data.')}.{result['name']}"
    cases = result.get("sub_results") or {}
    for case, outcome in sorted(cases.items()):
        yield RegoCase(f"{name}[{case}]", not outcome.get("fail"), *at)
    spoilt = bool(result.get("error")) or bool(result.get("skip"))
    if spoilt or not cases:
        yield RegoCase(name, not (spoilt or result.get("fail")), *at)


def _run(opa: Path, directory: Path, more: tuple[str, ...]) -> Any:
    bounds = ("--timeout", ONE_TEST_TIMEOUT, "--capabilities", str(CAPABILITIES))
    arguments = ("test", "--bundle", "--format", "json", *bounds, *more)
    done = run_opa(opa, directory, arguments, TEST_TIMEOUT_S)
    try:
        return json.loads(done.stdout)
    except ValueError:
        problem = done.stderr.decode(errors="replace").strip()[:500]
        raise PolicyInvalid(f"{problem}. Cure: `opa check --strict` shows more") from None
