"""How the verifier's report is read: what is not said for certain does not count as proven."""

import re

import pytest

from tests.model.cases import CASES, Case
from tests.model.verify import MODEL, Search, judge, read_search

SAFE = Case("safe", None, None)
MUTANT = Case("mutant", "MUTANT", "BOUND")

REPORT = """
(Spin Version 6.5.2 -- 6 December 2019)
	+ Partial Order Reduction

Full statespace search for:
	never claim         	- (none specified)
	assertion violations	+

State-vector 84 byte, depth reached 10364, errors: 0
  3632084 states, stored
 30114876 transitions (= stored+matched)

unreached in proctype Clock
	/a/kill_lease.pml:108, state 58, "-end-"
	(1 of 58 states)

pan: elapsed time 11.1 seconds
"""
WARNING = "Warning: Search not completed\n"
TOO_DEEP = "error: max search depth too small\n"
NEVER_TAKEN = '	/a/call.pml:70, state 7, "call = INTENT"\n'


def test_a_report_is_read() -> None:
    """States, depth, errors, and that it was a full search."""
    assert read_search(REPORT) == Search(0, 3_632_084, 10_364, complete=True, unreached=())


def test_large_counts_are_read() -> None:
    """The verifier goes over to powers of ten."""
    report = REPORT.replace("  3632084 states", "1.2345678e+08 states")
    assert read_search(report).states == 123_456_780


def test_steps_never_taken_are_read() -> None:
    """All but the ends of processes that have none."""
    assert read_search(REPORT + NEVER_TAKEN).unreached == ('"call = INTENT"',)


@pytest.mark.parametrize(
    "said",
    [
        WARNING + REPORT,
        TOO_DEEP + REPORT,
        REPORT.replace("Full statespace", "Bit statespace"),
        REPORT.partition("pan: elapsed")[0],
        "timed out after 1200 s",
        "",
    ],
)
def test_half_a_search_proves_nothing(said: str) -> None:
    """Cut off by depth, memory, time, hashing, or a crash: not exhaustive."""
    assert judge(SAFE, read_search(said), None) == ("not exhaustive", False)


@pytest.mark.parametrize(
    ("case", "search", "broken", "verdict"),
    [
        (SAFE, Search(0, 9, 9, complete=True, unreached=()), None, ("holds", True)),
        (SAFE, Search(1, 9, 9, complete=False, unreached=()), "BOUND", ("breaks BOUND", False)),
        (SAFE, Search(1, 9, 9, complete=False, unreached=()), None, ("breaks None", False)),
        (MUTANT, Search(0, 9, 9, complete=True, unreached=()), None, ("holds", False)),
        (MUTANT, Search(1, 9, 9, complete=False, unreached=()), "BOUND", ("breaks BOUND", True)),
        (MUTANT, Search(1, 9, 9, complete=False, unreached=()), "PUSH", ("breaks PUSH", False)),
        (MUTANT, Search(1, 9, 9, complete=False, unreached=()), None, ("breaks None", False)),
    ],
)
def test_a_verdict_is_what_the_case_asks_for(
    case: Case, search: Search, broken: str | None, verdict: tuple[str, bool]
) -> None:
    """A mutant that passes is as wrong as a safe model that fails."""
    assert judge(case, search, broken) == verdict


def test_a_model_that_stands_still_proves_nothing() -> None:
    """Every step of the safe model has to have been taken."""
    search = Search(0, 9, 9, complete=True, unreached=("call = INTENT",))
    assert judge(SAFE, search, None) == ("holds, but 1 steps are never taken", False)


def test_every_mutant_of_the_model_is_a_case() -> None:
    """A guard that can be taken out is one whose absence is shown."""
    sources = "".join(file.read_text() for file in MODEL.parent.glob("*.pml"))
    mutants = set(re.findall(r"^#if(?:n?def) (MUTANT_\w+|SHARP)$", sources, re.MULTILINE))
    assert {case.macro for case in CASES} - {None} == mutants


def test_every_claim_is_broken_by_some_case() -> None:
    """A claim that nothing can break claims nothing."""
    sources = "".join(file.read_text() for file in MODEL.parent.glob("*.pml"))
    claims = set(re.findall(r"assert\(.*/\* ([A-Z]+) \*/", sources))
    assert {case.breaks for case in CASES} - {None} == claims
    assert sources.count("assert(") == len(re.findall(r"assert\(.*/\* [A-Z]+ \*/", sources))


def test_the_page_tells_every_case() -> None:
    """What each mutant shows stands in the table of docs/model."""
    page = MODEL.with_name("README.md").read_text()
    rows = re.findall(r"^\| ([a-z ]+) \| `?([A-Z]+)`? \|", page, re.MULTILINE)
    assert rows == [(case.name, case.breaks) for case in CASES if not case.safe]
