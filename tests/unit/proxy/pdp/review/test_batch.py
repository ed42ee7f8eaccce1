"""Hundreds of inputs in one run of the real OPA."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from proxy.errors import PolicyInvalid
from proxy.pdp.review import batch as subject
from proxy.pdp.review.batch import Evaluation, Unanswered

MODULE = """package t

twice := 2 * input.n

checked := to_number(input.text)

endless := count([x | some x in numbers.range(1, 1000); some y in many; y < 0]) if input.n == 0

many := numbers.range(1, 100000)

endless := 1 if input.n > 0
"""
Written = Callable[[dict[str, str]], Path]


@pytest.fixture
def bundle(written: Written) -> Path:
    """A directory with one module."""
    return written({"t.rego": MODULE})


def test_every_input_has_its_answer_in_order(opa: Path, bundle: Path) -> None:
    """What is undefined is None."""
    inputs: list[dict[str, Any]] = [{"n": 1}, {}, {"n": 3}]
    assert Evaluation(opa, bundle, "data.t.twice").answers(inputs) == [2, None, 6]


def test_no_input_needs_no_opa(bundle: Path) -> None:
    """Nothing is started."""
    assert Evaluation(Path("/no/such/opa"), bundle, "data.t.twice").answers([]) == []


def test_an_input_that_fails_stands_alone(opa: Path, bundle: Path) -> None:
    """The others are answered; why is told."""
    inputs = [{"text": text} for text in ("1", "2", "x", "4")]
    answers = Evaluation(opa, bundle, "data.t.checked").answers(inputs)
    assert answers[:2] + answers[3:] == [1, 2, 4]
    assert isinstance(answers[2], Unanswered)
    assert "to_number" in answers[2].why


def test_a_rule_without_an_end_is_cut(opa: Path, bundle: Path) -> None:
    """It is without an answer, as it is at a gateway."""
    evaluation = Evaluation(opa, bundle, "data.t.endless", deadline_s=1)
    answers = evaluation.answers([{"n": 1}, {"n": 0}])
    assert answers[0] == 1
    assert isinstance(answers[1], Unanswered)


def test_after_many_failures_halves_are_not_tried_alone(
    opa: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rule that always fails costs no run for each input."""
    monkeypatch.setattr(subject, "MAX_FAILED_RUNS", 1)
    monkeypatch.setattr(subject, "MAX_FAILING_S", 0.0)
    evaluation = Evaluation(opa, bundle, "data.t.checked")
    answers = evaluation.answers([{"text": "x"}] * 8)
    assert all(isinstance(answer, Unanswered) and not answer.is_alone for answer in answers)
    assert evaluation.failed_runs == 3


def test_a_few_failures_hide_no_answer(opa: Path, bundle: Path) -> None:
    """However far apart they stand: what is quick to find out is found out."""
    texts = ["x" if number % 40 == 7 else str(number) for number in range(200)]
    answers = Evaluation(opa, bundle, "data.t.checked").answers([{"text": text} for text in texts])
    failed = [number for number, one in enumerate(answers) if isinstance(one, Unanswered)]
    assert failed == [7, 47, 87, 127, 167]
    assert all(answers[number].is_alone for number in failed)
    assert answers[199] == 199


def test_what_calls_out_is_not_run(opa: Path, written: Written) -> None:
    """The same capabilities as everywhere."""
    bundle = written({"t.rego": 'package t\n\nx := http.send({"method": "get", "url": "a"})\n'})
    (answer,) = Evaluation(opa, bundle, "data.t.x").answers([{}])
    assert isinstance(answer, Unanswered)


def test_an_opa_that_cannot_be_run_is_told(bundle: Path) -> None:
    """With the cure."""
    with pytest.raises(PolicyInvalid, match="Cure"):
        Evaluation(Path("/no/such/opa"), bundle, "data.t.twice").answers([{}])


@pytest.mark.parametrize("script", ["echo no JSON", "exit 3", "sleep 60"])
def test_an_opa_that_says_nothing_is_no_answer(
    tmp_path: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    """Nor is one that does not stop."""
    monkeypatch.setattr(subject, "GRACE_S", 0.2)
    opa = tmp_path / "opa"
    opa.write_text(f"#!/bin/sh\nPATH=/usr/bin:/bin; {script.replace('sleep', 'exec sleep')}\n")
    opa.chmod(0o755)
    (answer,) = Evaluation(opa, bundle, "data.t.twice", deadline_s=0.2).answers([{}])
    assert isinstance(answer, Unanswered)
    assert answer.why
