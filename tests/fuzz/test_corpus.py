"""Every input that was worth keeping, through its target again; no fuzzer is needed for that."""

from pathlib import Path

import pytest

from tests.fuzz.targets import TARGETS

CORPUS = Path(__file__).with_name("corpus")
INPUTS = sorted(file for file in CORPUS.glob("*/*") if file.is_file())


def test_every_target_has_a_corpus_and_every_corpus_a_target() -> None:
    """A renamed target would leave its inputs behind."""
    assert {folder.name for folder in CORPUS.iterdir()} == set(TARGETS)


def test_the_corpus_stays_small() -> None:
    """It is read at every run."""
    assert len(INPUTS) < 1_000
    assert all(file.stat().st_size <= 4_096 for file in INPUTS)


@pytest.mark.parametrize("target", TARGETS)
def test_the_corpus_holds(target: str) -> None:
    """What must hold for any input holds for these."""
    inputs = [file for file in INPUTS if file.parent.name == target]
    assert inputs
    for file in inputs:
        TARGETS[target](file.read_bytes())
