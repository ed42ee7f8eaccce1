"""What is asked of both bundles, and from where: a decision log, or labelled inputs."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from proxy.pdp.base import DECISION_PATH
from proxy.pdp.review.corpus import LabelledInput
from proxy.pdp.review.outcome import Outcome, outcome_of
from proxy.pdp.review.record import DecisionRecord

LEFT_OUT = "its arguments were left out of the log"
NO_ANSWER_THEN = "the policy gave no answer then"
BROKEN = "the line is broken"
OTHER_ENTRY = "it is no decision on a call"

_NO_ANSWER = "policy-unavailable"


@dataclass(frozen=True, slots=True)
class Question:
    """One input. `problem` says why it cannot be asked again, empty when it can.

    `recorded` is what was decided, under `revision`; None for an input that nobody decided on.
    """

    label: str
    input: dict[str, Any]
    recorded: Outcome | None = None
    revision: str = ""
    is_masked: bool = False
    problem: str = ""


def of_inputs(inputs: Iterable[LabelledInput]) -> Iterator[Question]:
    """Yield a question for each input."""
    return (Question(one.label, one.input, problem=one.problem) for one in inputs)


def of_log(records: Iterable[DecisionRecord | None]) -> Iterator[Question]:
    """Yield a question for each record; None is a line that could not be read."""
    for number, record in enumerate(records, 1):
        if record is None:
            yield Question(f"line {number}", {}, problem=BROKEN)
        else:
            yield _question(record)


def _question(record: DecisionRecord) -> Question:
    try:
        recorded, problem = outcome_of(record.answer), _problem(record)
    except ValueError:
        recorded, problem = None, BROKEN
    return Question(
        label=record.decision_id,
        input=record.input,
        recorded=recorded,
        revision=record.revision,
        is_masked=bool(record.masked),
        problem=problem,
    )


def _problem(record: DecisionRecord) -> str:
    if record.entry != DECISION_PATH:
        return OTHER_ENTRY
    if not record.replayable:
        return LEFT_OUT
    ids = {why["id"] for why in record.answer["reasons"]}
    return NO_ANSWER_THEN if _NO_ANSWER in ids else ""
