"""What can be asked again, and why the rest cannot."""

from typing import Any

import pytest

from proxy.pdp.base import DECISION_PATH
from proxy.pdp.review import questions as subject
from proxy.pdp.review.corpus import LabelledInput
from proxy.pdp.review.questions import of_inputs, of_log
from proxy.pdp.review.record import DecisionRecord

ANSWER: dict[str, Any] = {
    "verdict": "deny",
    "reasons": [{"id": "default-deny", "message": ""}],
    "obligations": [],
    "grant": None,
    "cost": {"risk": 0},
    "labels": [],
}
LATE = ANSWER | {"reasons": [{"id": "policy-unavailable", "message": ""}]}


def record(**given: Any) -> DecisionRecord:
    """Return a record with these members changed."""
    members = {"entry": DECISION_PATH, "answer": ANSWER, **given}
    return DecisionRecord("dec_1", "t", "acme", input={"a": 1}, revision="r", **members)


def test_an_input_is_a_question() -> None:
    """Nobody has decided on it."""
    (question,) = of_inputs([LabelledInput("a", {"x": 1})])
    assert (question.label, question.recorded, question.problem) == ("a", None, "")


def test_a_record_is_a_question_with_its_answer() -> None:
    """And with whether something is masked."""
    plain, masked = of_log([record(), record(masked=("/a",))])
    assert (plain.label, plain.revision, plain.problem) == ("dec_1", "r", "")
    assert plain.recorded
    assert plain.recorded.reasons == ("default-deny",)
    assert [plain.is_masked, masked.is_masked] == [False, True]


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (None, subject.BROKEN),
        (record(answer={}), subject.BROKEN),
        (record(entry="other"), subject.OTHER_ENTRY),
        (record(replayable=False), subject.LEFT_OUT),
        (record(answer=LATE), subject.NO_ANSWER_THEN),
    ],
)
def test_what_cannot_be_asked_again_says_why(given: DecisionRecord | None, problem: str) -> None:
    """Nothing is left out without a word."""
    (question,) = of_log([given])
    assert question.problem == problem
