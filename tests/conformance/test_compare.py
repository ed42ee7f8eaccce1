"""The comparison of two runs misses nothing: a run that cannot fail would prove nothing."""

import pytest

from tests.conformance.compare import differences
from tests.conformance.suite import Check, Report


def check(status: str, name: str = "n", message: str = "") -> Check:
    """Return a check of the id `c`."""
    return Check("c", name, status, message)


def report(*checks: Check) -> Report:
    """Return a report of one scenario that counts."""
    return Report("2026-07-28", ("s",), {"s": checks})


@pytest.mark.parametrize(
    ("direct", "through"),
    [
        ([check("SUCCESS")], [check("FAILURE")]),
        ([check("FAILURE")], [check("SUCCESS")]),
        ([check("SUCCESS")], [check("INFO")]),
        ([check("SUCCESS")], [check("SKIPPED")]),
        ([check("SUCCESS")], []),
        ([], [check("WARNING")]),
        ([check("SUCCESS"), check("SUCCESS")], [check("SUCCESS")]),
        ([check("SUCCESS", "a")], [check("SUCCESS", "b")]),
    ],
)
def test_another_verdict_is_a_difference(direct: list[Check], through: list[Check]) -> None:
    """Better, worse, missing or new."""
    assert differences(report(*direct), report(*through))


@pytest.mark.parametrize(
    ("direct", "through"),
    [
        ([check("SUCCESS")], [check("SUCCESS", message="other words")]),
        ([check("INFO"), check("INFO")], [check("INFO")]),
        ([check("INFO")], []),
    ],
)
def test_words_and_notes_are_none(direct: list[Check], through: list[Check]) -> None:
    """What the suite only notes is no verdict."""
    assert differences(report(*direct), report(*through)) == []


def test_a_difference_says_where_and_why() -> None:
    """One line to act on."""
    (found,) = differences(report(check("SUCCESS")), report(check("FAILURE", message="too late")))
    assert str(found) == "s · c (n): SUCCESS → FAILURE (too late)"


@pytest.mark.parametrize(
    ("checks", "score"),
    [
        ([check("SUCCESS")], "1/1"),
        ([check("SUCCESS"), check("WARNING"), check("INFO")], "1/1"),
        ([check("SUCCESS"), check("FAILURE")], "0/1"),
        ([], "0/1"),
    ],
)
def test_a_scenario_passes_without_failures(checks: list[Check], score: str) -> None:
    """A scenario that left no results has not passed."""
    assert report(*checks).score == score
