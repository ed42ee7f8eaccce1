"""What is compared, and what each difference is called."""

from typing import Any

import pytest

from proxy.pdp.review.outcome import Change, changes, outcome_of, rules

MASK = {"type": "mask", "path": "/a"}
LEAVE = {"type": "human_attended"}
HELD: dict[str, Any] = {"verdict": "hold"}
ANSWER: dict[str, Any] = {
    "verdict": "allow",
    "reasons": [{"id": "role-allows-tool", "message": "Yes."}],
    "obligations": [{"type": "mask", "path": "/a"}],
    "grant": {"broker": "none", "ttl": 30},
    "cost": {"risk": 1},
    "labels": ["b", "a"],
}


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        ({}, {}, ()),
        ({}, {"reasons": [{"id": "role-allows-tool", "message": "Other words."}]}, ()),
        ({}, {"labels": ["a", "b"]}, ()),
        ({"verdict": "deny"}, {"verdict": "allow"}, (Change.PERMISSION,)),
        ({"verdict": "hold"}, {"verdict": "allow"}, (Change.PERMISSION,)),
        ({"verdict": "deny"}, {"verdict": "hold"}, (Change.EASED,)),
        ({"verdict": "allow"}, {"verdict": "hold"}, (Change.HOLD,)),
        (
            {"verdict": "allow"},
            {"verdict": "hold", "labels": [], "cost": {"risk": 0}, "grant": {"broker": "jwt"}},
            (Change.HOLD, Change.WIDENED, Change.UNLABELLED, Change.CHEAPER),
        ),
        (
            {"verdict": "hold"},
            {"verdict": "allow", "labels": []},
            (Change.PERMISSION, Change.UNLABELLED),
        ),
        (HELD, HELD | {"obligations": [MASK, LEAVE]}, (Change.ATTENDED, Change.OBLIGATIONS)),
        (HELD | {"obligations": [MASK, LEAVE]}, HELD, (Change.OBLIGATIONS,)),
        ({}, {"obligations": [MASK, LEAVE]}, (Change.OBLIGATIONS,)),
        ({}, HELD | {"obligations": [MASK, LEAVE]}, (Change.HOLD, Change.ATTENDED)),
        ({"verdict": "hold"}, {"verdict": "deny", "labels": []}, (Change.REFUSAL,)),
        ({}, {"obligations": []}, (Change.LIFTED, Change.OBLIGATIONS)),
        ({"obligations": []}, {}, (Change.OBLIGATIONS,)),
        ({}, {"grant": None}, (Change.GRANT,)),
        ({}, {"cost": {"risk": 2}}, (Change.COST,)),
        ({}, {"labels": []}, (Change.UNLABELLED, Change.LABELS)),
        ({"labels": []}, {}, (Change.LABELS,)),
        ({"cost": {"risk": 2}}, {}, (Change.CHEAPER, Change.COST)),
        ({"grant": None}, {}, (Change.WIDENED, Change.GRANT)),
        ({}, {"grant": {"broker": "none", "ttl": 31}}, (Change.WIDENED, Change.GRANT)),
        ({}, {"grant": {"broker": "none"}}, (Change.WIDENED, Change.GRANT)),
        ({}, {"grant": {"broker": "none", "ttl": 29}}, (Change.GRANT,)),
        ({}, {"grant": {"broker": "jwt", "ttl": 9}}, (Change.WIDENED, Change.GRANT)),
        (
            {},
            {"grant": {"broker": "none", "ttl": 9, "scope": ["x"]}},
            (Change.WIDENED, Change.GRANT),
        ),
        ({}, {"grant": "none"}, (Change.WIDENED, Change.GRANT)),
        (
            {"grant": {"broker": "none", "scope": ["x", "y"], "ttl": 9}},
            {"grant": {"broker": "none", "scope": ["y"], "ttl": 9}},
            (Change.GRANT,),
        ),
        (
            {"verdict": "deny"},
            {"verdict": "deny", "grant": None, "labels": [], "cost": {"risk": 0}},
            (Change.GRANT, Change.COST, Change.LABELS),
        ),
        ({}, {"reasons": [{"id": "a-b"}]}, (Change.REASONS,)),
        ({"verdict": "deny"}, {"verdict": "deny", "obligations": []}, (Change.OBLIGATIONS,)),
    ],
)
def test_each_difference_has_its_name(
    before: dict[str, Any], after: dict[str, Any], found: tuple[Change, ...]
) -> None:
    """Words are none, nor is order; with another verdict nothing else is told."""
    assert changes(outcome_of(ANSWER | before), outcome_of(ANSWER | after)) == found


@pytest.mark.parametrize(
    "odd",
    [
        {"cost": {"risk": float("inf")}},
        {"cost": {"risk": "1e9"}},
        {"cost": 1},
        {"cost": []},
        {"labels": 3},
        {"reasons": ["x"]},
        {"reasons": [[]]},
        {"obligations": None},
    ],
)
def test_an_odd_member_is_no_answer(odd: dict[str, Any]) -> None:
    """Whatever somebody wrote into a log, it ends no review."""
    with pytest.raises(ValueError):  # noqa: PT011  (several sentences)
        outcome_of(ANSWER | odd)


@pytest.mark.parametrize("missing", list(ANSWER))
def test_what_lacks_a_member_is_no_answer(missing: str) -> None:
    """A log that others wrote."""
    with pytest.raises(ValueError, match="not an answer"):
        outcome_of({name: value for name, value in ANSWER.items() if name != missing})


@pytest.mark.parametrize(
    ("before", "after", "about"),
    [
        (("deny", "old"), ("allow", "new"), ("old",)),
        (("allow", "old"), ("deny", "new"), ("new",)),
        (("allow", "same"), ("allow", "same"), ("same",)),
    ],
)
def test_a_change_is_about_what_refuses(
    before: tuple[str, str], after: tuple[str, str], about: tuple[str, ...]
) -> None:
    """The rule that no longer refuses, or the one that does now."""
    made = [
        outcome_of(ANSWER | {"verdict": verdict, "reasons": [{"id": reason}]})
        for verdict, reason in (before, after)
    ]
    assert rules(*made) == about


def test_an_outcome_is_told_as_it_was_read() -> None:
    """Sorted, and without the words of reasons."""
    document = outcome_of(ANSWER).to_document()
    assert document == ANSWER | {"reasons": ["role-allows-tool"], "labels": ["a", "b"]}
