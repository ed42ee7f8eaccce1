"""Reviewing policies: bundles staged beside each other, asked what a corpus holds."""

import contextlib
import json
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from proxy.errors import PolicyInvalid
from proxy.pdp.bundle import stage
from proxy.pdp.lint.modules import parse
from proxy.pdp.manifests import load_catalogue
from proxy.pdp.review.compare import Comparing, Review
from proxy.pdp.review.corpus import LabelledInput
from proxy.pdp.review.explain import Explanation, explain
from proxy.pdp.review.log_files import find_record, read_log
from proxy.pdp.review.questions import Question, of_log
from proxy.pdp.review.record import DecisionRecord
from proxy.pdp.review.sides import Side
from proxy.pdp.suites import load_suites
from proxy.pipeline.enforce import KNOWN_OBLIGATIONS


@dataclass(frozen=True, slots=True)
class Reviewer:
    """Where bundles are staged, and by which OPA. `heard` is told how far a review has come."""

    opa: Path
    private: Path
    heard: Callable[[int], None] = lambda _: None

    def side(self, directory: Path) -> Side:
        """Stage a directory of policies. Raises PolicyInvalid."""
        bundle = stage(directory, self.private, self.opa)
        return Side(str(directory), bundle, load_catalogue(bundle.directory))

    def replay(self, log: Path, baseline: Side | None, candidate: Side) -> Review:
        """Ask the candidate what a log holds. Raises PolicyInvalid."""
        return self._comparing(baseline, candidate).review(of_log(read_log(log)))

    def compare(self, before: Side, after: Side, questions: Iterable[Question]) -> Review:
        """Ask both the same; the inputs were made under `before`. Raises PolicyInvalid."""
        return self._comparing(before, after).review(questions)

    def _comparing(self, before: Side | None, after: Side) -> Comparing:
        asks = Comparing(self.opa, before, after, before, KNOWN_OBLIGATIONS)
        return replace(asks, heard=self.heard)


@contextlib.contextmanager
def reviewer(opa: Path, heard: Callable[[int], None] = lambda _: None) -> Iterator[Reviewer]:
    """Yield a reviewer; the copies it makes are gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="detent-review-") as private:
        yield Reviewer(opa, Path(private), heard)


def inputs_of_file(file: Path) -> Iterator[LabelledInput]:
    """Yield the inputs of a JSON list of `{"label", "input"}`. Raises PolicyInvalid."""
    try:
        listed = json.loads(file.read_bytes())
        made = [LabelledInput(str(one["label"]), dict(one["input"])) for one in listed]
    except (OSError, ValueError, TypeError, LookupError):
        cure = 'write a list of {"label": …, "input": …}'
        raise PolicyInvalid(f"{file.name}: no list of labelled inputs. Cure: {cure}") from None
    yield from made


def suite_inputs(directory: Path, side: Side) -> Iterator[LabelledInput]:
    """Yield the calls of a bundle's suites. Raises PolicyInvalid."""
    for case in load_suites(directory, side.catalogue):
        yield LabelledInput(case.name, case.decision)


def found_in(log: Path, decision_id: str) -> DecisionRecord:
    """Return the record of a decision. Raises PolicyInvalid when the log has none."""
    record = find_record(log, decision_id)
    if record is None:
        raise PolicyInvalid(f"{log.name}: no such decision. Cure: look which files are kept")
    return record


def explained(record: DecisionRecord, side: Side, opa: Path) -> Explanation:
    """Explain a record under the policies of a side. Raises PolicyInvalid."""
    source = parse(side.bundle.directory, opa)
    try:
        return explain(record, side, source, opa, KNOWN_OBLIGATIONS)
    except ValueError as error:
        raise PolicyInvalid(f"the record is broken: {error}. Cure: take it from the log") from None
