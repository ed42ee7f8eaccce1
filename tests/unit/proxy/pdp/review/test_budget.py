"""A review within its budget, or over it."""

from typing import Any

import pytest

from proxy.pdp.review.budget import Budget
from proxy.pdp.review.compare import Difference, Review
from proxy.pdp.review.outcome import Change, Outcome

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


def test_each_passed_limit_is_a_line() -> None:
    """With both numbers."""
    told = Budget(flips=0, refusals=1).exceeded(review(Change.REFUSAL, Change.REFUSAL))
    assert told == (
        "flips: 2, and at most 0 may be",
        "new refusals: 2, and at most 1 may be",
    )
