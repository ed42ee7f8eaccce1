"""Some mutants of the shipped policies are noticed; `make mutants` judges them all."""

from pathlib import Path

import pytest

from proxy.pdp.find_opa import find_opa
from tests.mutants.judge import Judge
from tests.mutants.mutate import Mutant, mutants
from tests.mutants.survivors import SURVIVORS

POLICIES = Path(__file__).parents[2] / "policies"
OPA = find_opa().path.absolute()
MUTANTS = {mutant.key: mutant for mutant in mutants(POLICIES, OPA)}


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Judge:
    """The tests and suites that have to notice."""
    return Judge(POLICIES, tmp_path_factory.mktemp("mutants"), OPA)


@pytest.fixture
def harmless() -> Mutant:
    """A mutant that has lost a comment only."""
    file = "rules/irreversible/irreversible.rego"
    text = (POLICIES / file).read_bytes()
    return Mutant(file, 1, "# What cannot", text.split(b"\n", 1)[1])


@pytest.mark.parametrize("key", sorted(MUTANTS.keys() - SURVIVORS.keys()))
def test_a_line_that_decides_is_missed(judge: Judge, key: str) -> None:
    """By the compiler, a Rego test or a suite."""
    assert judge.noticed_by(MUTANTS[key]) != ""


def test_what_decides_nothing_is_not_missed(judge: Judge, harmless: Mutant) -> None:
    """A judge that always notices would prove nothing."""
    assert judge.noticed_by(harmless) == ""


def test_every_known_survivor_is_a_line_that_is_there() -> None:
    """And says why nothing can notice it."""
    assert SURVIVORS.keys() <= MUTANTS.keys()
    assert all(SURVIVORS.values())
