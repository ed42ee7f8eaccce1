"""A review within its budget, or over it."""

from typing import Any

import pytest

from proxy.pdp.review.budget import Budget
from proxy.pdp.review.compare import NOT_ASKED, Difference, Review
from proxy.pdp.review.corpus import TOO_MANY
from proxy.pdp.review.outcome import Change, Outcome
from proxy.pdp.review.settings import Setting

NONE = Outcome("deny", (), (), "null", 0, ())


def review(*found: Change, compared: int = 9, missing: int = 0) -> Review:
    """Return a review with these changes."""
    differences = [Difference("d", (one,), NONE, NONE, (), {}) for one in found]
    return Review("a", "b", compared, differences, {"why": ["x"] * missing} if missing else {})


@pytest.mark.parametrize(
    ("budget", "found", "is_good"),
    [
        ({}, review(), True),
        ({}, review(Change.COST, missing=3), True),
        ({}, review(Change.HOLD), False),
        ({"flips": 1}, review(Change.HOLD), True),
        ({"flips": 1}, review(Change.HOLD, Change.REFUSAL), False),
        ({"flips": 9, "permissions": 0}, review(Change.REFUSAL), True),
        ({"flips": 9, "permissions": 0}, review(Change.PERMISSION), False),
        ({"flips": 9, "permissions": 0}, review(Change.LIFTED), False),
        ({"flips": 9, "permissions": 0}, review(Change.EASED), False),
        ({"flips": 9, "permissions": 0}, review(Change.WIDENED), False),
        ({}, review(Change.UNLABELLED), False),
        ({}, review(Change.CHEAPER), False),
        ({"compared": 10}, review(), False),
        ({"compared": 9}, review(), True),
        ({"flips": 9, "refusals": 0}, review(Change.REFUSAL), False),
        ({"changes": 0}, review(Change.LABELS), False),
        ({"unreplayable": 2}, review(missing=2), True),
        ({"unreplayable": 2}, review(missing=3), False),
        ({"flips": 9}, review(compared=0), False),
    ],
)
def test_a_budget_is_kept_or_passed(budget: dict[str, Any], found: Review, is_good: bool) -> None:
    """Each limit by itself; nothing compared is nothing shown."""
    assert (Budget(**budget).exceeded(found) == ()) is is_good


def test_a_raised_limit_is_a_permission_and_a_manifest_a_change() -> None:
    """Though no decision differs."""
    raised, other = (
        Setting("limits of default", "…", is_looser=True),
        Setting("manifest of a/b", ""),
    )
    found = Review("a", "b", 9, settings=(raised, other))
    assert Budget(flips=1, permissions=1, changes=1).exceeded(found) == ()
    assert Budget(flips=0, permissions=0, changes=0).exceeded(found) == (
        "flips: 1, and at most 0 may be",
        "new permissions: 1, and at most 0 may be",
        "other changes: 1, and at most 0 may be",
    )


@pytest.mark.parametrize("why", [NOT_ASKED, TOO_MANY])
def test_what_was_not_asked_is_over_every_budget(why: str) -> None:
    """It may hide anything."""
    found = Review("a", "b", 9, [], {why: ["x"]})
    assert Budget(flips=99).exceeded(found) == ("not asked: 1, and at most 0 may be",)


def test_each_passed_limit_is_a_line() -> None:
    """With both numbers."""
    told = Budget(flips=0, refusals=1).exceeded(review(Change.REFUSAL, Change.REFUSAL))
    assert told == (
        "flips: 2, and at most 0 may be",
        "new refusals: 2, and at most 1 may be",
    )
