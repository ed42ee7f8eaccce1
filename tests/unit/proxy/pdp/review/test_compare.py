"""Two bundles, the same questions: what differs, and what could not be asked again."""

from pathlib import Path
from typing import Any

import pytest

from proxy.model.ledger import Limits
from proxy.pdp.base import StagedBundle
from proxy.pdp.manifests import Catalogue
from proxy.pdp.review import batch
from proxy.pdp.review import compare as subject
from proxy.pdp.review.budget import Budget
from proxy.pdp.review.compare import Comparing, Review
from proxy.pdp.review.outcome import Change, Outcome
from proxy.pdp.review.questions import Question
from proxy.pdp.review.sides import Side

MODULE = """package detent.main

decision := {{
	"verdict": verdict, "reasons": [{{"id": "a-{name}", "message": ""}}], "obligations": [],
	"grant": null, "cost": {{"risk": {risk}}}, "labels": [],
}}

default verdict := "deny"

verdict := "allow" if input.context.n < {limit}

"""


@pytest.fixture
def sides(tmp_path: Path) -> Any:
    """Make a bundle that allows what is below a limit."""

    def make(name: str, limit: int, risk: int = 0) -> Side:
        directory = tmp_path / name
        directory.mkdir()
        text = MODULE.format(name="rule", limit=limit, risk=risk)
        (directory / "main.rego").write_text(text)
        catalogue = Catalogue({}, Limits(1, 1, 1), {}, {}, {})
        return Side(name, StagedBundle(directory, f"sha256:{name}+git:1"), catalogue)

    return make


def outcome(verdict: str) -> Outcome:
    return Outcome(verdict, ("a-rule",), (), "null", 0, ())


def question(number: int, **more: Any) -> Question:
    """Ask about a number."""
    document = {
        "subject": {"tenant": "acme", "id": "a"},
        "resource": {"id": "s/t"},
        "context": {"n": number},
    }
    return Question(f"q{number}", document, **more)


def review(opa: Path, before: Side | None, after: Side, asked: list[Question]) -> Review:
    return Comparing(opa, before, after, before, frozenset(), jobs=2).review(asked)


def test_the_same_bundle_differs_in_nothing(
    opa: Path, sides: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many questions there are, and runs of OPA for them."""
    monkeypatch.setattr(subject, "CHUNK", 10)
    same = sides("one", 10)
    found = review(opa, same, same, [question(number) for number in range(65)])
    assert (found.compared, found.differences, found.unreplayable) == (65, [], {})


def test_how_far_it_is_is_told(opa: Path, sides: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """After every chunk; what could not be asked counts."""
    monkeypatch.setattr(subject, "CHUNK", 10)
    heard: list[int] = []
    same = sides("one", 10)
    comparing = Comparing(opa, same, same, same, frozenset(), jobs=2, heard=heard.append)
    comparing.review([question(number) for number in range(24)] + [question(1, problem="no")])
    assert heard == [10, 20, 25]


def test_a_flip_tells_agent_tool_rule_and_both_answers(opa: Path, sides: Any) -> None:
    """Only what lies between the two limits."""
    asked = [question(number) for number in (9, 10, 11)]
    found = review(opa, sides("old", 10), sides("new", 11), asked)
    (flip,) = found.flips
    assert (flip.label, flip.agent, flip.tool, flip.rules) == ("q10", "acme/a", "s/t", ("a-rule",))
    assert (flip.before.verdict, flip.after.verdict) == ("deny", "allow")
    assert found.count(Change.PERMISSION) == 1
    assert (found.before, found.after, found.compared) == ("old", "new", 3)


def test_another_price_is_a_difference_and_no_flip(opa: Path, sides: Any) -> None:
    """What happens to the call is the same."""
    found = review(opa, sides("old", 10), sides("new", 10, risk=5), [question(1)])
    assert [one.changes for one in found.differences] == [(Change.COST,)]
    assert found.flips == []


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"problem": "no reason"}, "no reason"),
        ({"recorded": outcome("deny"), "revision": "sha256:other"}, subject.OTHER_REVISION),
        (
            {"recorded": outcome("deny"), "revision": "sha256:old+git:2", "is_masked": True},
            subject.LOOKS_AT_MASKED,
        ),
        ({"recorded": outcome("deny"), "revision": "sha256:old"}, subject.OTHER_ANSWER),
    ],
)
def test_what_cannot_be_asked_again_is_told_apart(
    opa: Path, sides: Any, more: dict[str, Any], why: str
) -> None:
    """When the baseline no longer decides what was recorded, no flip is made of it."""
    found = review(opa, sides("old", 10), sides("new", 7), [question(5, **more)])
    assert found.unreplayable == {why: ["q5"]}
    assert (found.compared, found.differences) == (0, [])


def test_the_baseline_is_not_asked_what_its_own_record_says(opa: Path, sides: Any) -> None:
    """A baseline that cannot answer shows who asks it."""
    old, new = sides("old", 10), sides("new", 11)
    (old.bundle.directory / "main.rego").write_text("broken")
    whole = {"recorded": outcome("allow"), "revision": "sha256:old+git:9"}
    asked = [
        question(1, **whole),
        question(2, **whole, is_masked=True),
        question(3, **whole | {"revision": "sha256:other"}),
        question(10, **whole | {"recorded": outcome("deny")}),
    ]
    found = review(opa, old, new, asked)
    assert found.compared == 1
    assert sorted(label for labels in found.unreplayable.values() for label in labels) == [
        "q10",
        "q2",
        "q3",
    ]


def test_without_a_baseline_what_was_recorded_counts(opa: Path, sides: Any) -> None:
    """A question that nobody decided on cannot be compared."""
    asked = [question(5, recorded=outcome("allow"), is_masked=True), question(6)]
    found = review(opa, None, sides("new", 1), asked)
    (flip,) = found.flips
    assert (flip.changes, flip.is_masked) == ((Change.REFUSAL,), True)
    assert found.before == subject.RECORDED
    assert found.masked == 1
    assert found.unreplayable == {subject.NEVER_DECIDED: ["q6"]}


@pytest.mark.parametrize("broken", ["old", "new"])
def test_what_policies_fail_on_in_bulk_is_not_compared(
    opa: Path, sides: Any, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    """Neither the one nor the other: it would be a deny on both sides, and hide every flip."""
    monkeypatch.setattr(batch, "MAX_FAILED_RUNS", 1)
    monkeypatch.setattr(batch, "MAX_FAILING_S", 0.0)
    old, new = sides("old", 10), sides("new", 11)
    failing = old if broken == "old" else new
    (failing.bundle.directory / "main.rego").write_text("broken")
    found = review(opa, old, new, [question(number) for number in (9, 10, 11, 12)])
    assert (found.compared, found.not_asked) == (0, 4)
    assert "not asked: 4, and at most 0 may be" in Budget(flips=9).exceeded(found)


def test_an_input_of_another_shape_has_no_names(opa: Path, sides: Any) -> None:
    """A corpus of others may hold anything."""
    asked = [Question("odd", {"context": {"n": 10}})]
    (flip,) = review(opa, sides("old", 10), sides("new", 11), asked).flips
    assert (flip.agent, flip.tool) == ("?/?", "?")
