"""Asking two bundles the same questions, and telling where they decide otherwise."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from proxy.pdp.review.batch import CHUNK
from proxy.pdp.review.corpus import TOO_MANY
from proxy.pdp.review.outcome import FLIPS, Change, Outcome, changes, rules
from proxy.pdp.review.questions import Question
from proxy.pdp.review.settings import Setting, settings_between
from proxy.pdp.review.sides import Side, fitted

OTHER_REVISION = "it was decided under another revision than the baseline"
LOOKS_AT_MASKED = "a rule looks at what is masked"
RECORDED = "what was recorded, with the limits of then"
NEVER_DECIDED = "nobody has decided on it"
OTHER_ANSWER = "the baseline answers otherwise"
NOT_ASKED = "OPA failed on too many beside it"


@dataclass(frozen=True, slots=True)
class Difference:
    """One input that is decided otherwise. `rules` are the reason ids it is about.

    `note` tells why the candidate gave no answer, empty when it gave one.
    """

    label: str
    changes: tuple[Change, ...]
    before: Outcome
    after: Outcome
    rules: tuple[str, ...]
    input: dict[str, Any]
    is_masked: bool = False
    note: str = ""

    @property
    def agent(self) -> str:
        """Tenant and agent."""
        return "/".join(_at(self.input, "subject", name) for name in ("tenant", "id"))

    @property
    def tool(self) -> str:
        """`server/tool`."""
        return _at(self.input, "resource", "id")

    @property
    def is_flip(self) -> bool:
        """Whether more or less happens than before, and not only at another price."""
        return self.changes[0] in FLIPS


@dataclass(slots=True)
class Review:
    """What came of it. `unreplayable` has the labels of what could not be asked again, by why.

    Of what was `compared`, `masked` had a value that the log does not hold. `settings` are what the
    gateway itself takes from the bundles and finds changed.
    """

    before: str
    after: str
    compared: int = 0
    differences: list[Difference] = field(default_factory=list)
    unreplayable: dict[str, list[str]] = field(default_factory=dict)
    masked: int = 0
    settings: tuple[Setting, ...] = ()

    @property
    def looser(self) -> int:
        """How many settings let an agent do more."""
        return sum(one.is_looser for one in self.settings)

    @property
    def flips(self) -> list[Difference]:
        """The differences in what happens to a call."""
        return [one for one in self.differences if one.is_flip]

    @property
    def not_asked(self) -> int:
        """How many inputs were not asked: policies fail on too many others, or they are many."""
        return sum(len(self.unreplayable.get(why, ())) for why in (NOT_ASKED, TOO_MANY))

    def count(self, *of: Change) -> int:
        """Return how many inputs differ in one of these ways."""
        return sum(not set(of).isdisjoint(one.changes) for one in self.differences)


@dataclass(frozen=True, slots=True)
class Comparing:
    """How questions are asked.

    Without `before` what was recorded counts. `origin` is the side the inputs were made under.
    `known` are the obligations a gateway can meet. `jobs` is how many OPAs run at once. `heard` is
    told again and again how many inputs were dealt with.
    """

    opa: Path
    before: Side | None
    after: Side
    origin: Side | None
    known: frozenset[str]
    jobs: int = os.cpu_count() or 1
    heard: Callable[[int], None] = lambda _: None

    def review(self, questions: Iterable[Question]) -> Review:
        """Ask every question. Blocks. Raises PolicyInvalid when OPA cannot be run."""
        before = self.before.name if self.before else RECORDED
        review = Review(before, self.after.name)
        if self.before is not None:
            review.settings = settings_between(self.before.catalogue, self.after.catalogue)
        with ThreadPoolExecutor(self.jobs) as pool:
            running: deque[Future[list[_Answered]]] = deque()
            for chunk in _chunks(questions):
                running.append(pool.submit(self._ask, chunk))
                if len(running) > 2 * self.jobs:
                    self._take(review, running.popleft())
            while running:
                self._take(review, running.popleft())
        return review

    def _take(self, review: Review, done: "Future[list[_Answered]]") -> None:
        _fold(review, done.result())
        self.heard(review.compared + sum(map(len, review.unreplayable.values())))

    def _ask(self, chunk: Sequence[Question]) -> "list[_Answered]":
        asked = [one for one in chunk if not one.problem]
        after = self._answers(self.after, asked)
        answered = zip(asked, self._before(asked, [one for one, _ in after]), after, strict=True)
        return [_Answered(one) for one in chunk if one.problem] + [
            self._judged(_Answered(one, before, *after)) for one, before, after in answered
        ]

    def _before(
        self, asked: Sequence[Question], after: Sequence[Outcome | None]
    ) -> Iterator[Outcome | None]:
        """Return what was decided before; the baseline is asked wherever that is not certain."""
        if self.before is None:
            return (one.recorded for one in asked)
        known = [
            one.recorded if self._is_certain(one, outcome) else None
            for one, outcome in zip(asked, after, strict=True)
        ]
        unknown = [one for one, outcome in zip(asked, known, strict=True) if outcome is None]
        answers = iter(self._answers(self.before, unknown))
        return (outcome or next(answers)[0] for outcome in known)

    def _is_certain(self, question: Question, after: Outcome | None) -> bool:
        """Whether the baseline need not be asked.

        The same policies decide the same on the same input, and the record has all of it; and
        with the candidate's answer being the same there is no difference to prove. That takes the
        record at its word: a log is evidence, so that reviewers take it from the base branch.
        """
        if self.before is None or question.recorded is None or question.is_masked or after is None:
            return False
        same = _digest(question.revision) == _digest(self.before.bundle.revision)
        return same and not changes(question.recorded, after)

    def _answers(self, side: Side, asked: Sequence[Question]) -> list[tuple[Outcome | None, str]]:
        inputs = [fitted(one.input, side, self.origin) for one in asked]
        return side.answers(self.opa, inputs, self.known)

    def _judged(self, answered: "_Answered") -> "_Answered":
        """Look whether the baseline still decides what was recorded."""
        question, before = answered.question, answered.before
        if self.before is None and before is None:
            return answered
        if before is None or answered.after is None:
            return _Answered(question, problem=NOT_ASKED)
        if self.before is None or question.recorded is None:
            return answered
        if not changes(question.recorded, before):
            return answered
        if _digest(question.revision) != _digest(self.before.bundle.revision):
            return _Answered(question, problem=OTHER_REVISION)
        return _Answered(question, problem=LOOKS_AT_MASKED if question.is_masked else OTHER_ANSWER)


@dataclass(frozen=True, slots=True)
class _Answered:
    """A question with both answers, or with the problem that there are none to compare."""

    question: Question
    before: Outcome | None = None
    after: Outcome | None = None
    note: str = ""
    problem: str = ""


def _chunks(questions: Iterable[Question]) -> Iterator[list[Question]]:
    rest = iter(questions)
    while chunk := list(islice(rest, CHUNK)):
        yield chunk


def _fold(review: Review, answered: Iterable[_Answered]) -> None:
    for one in answered:
        question, before, after = one.question, one.before, one.after
        if before is None or after is None:
            why = one.problem or question.problem or NEVER_DECIDED
            review.unreplayable.setdefault(why, []).append(question.label)
            continue
        review.compared += 1
        review.masked += question.is_masked
        if found := changes(before, after):
            about = rules(before, after)
            review.differences.append(
                Difference(
                    question.label,
                    found,
                    before,
                    after,
                    about,
                    question.input,
                    question.is_masked,
                    one.note,
                )
            )


def _digest(revision: str) -> str:
    """Return the part of a revision that is about the content."""
    return revision.partition("+")[0]


def _at(document: dict[str, Any], part: str, name: str) -> str:
    holder = document.get(part)
    return str(holder.get(name)) if isinstance(holder, dict) else "?"
