"""The history checker finds every planted fault, and nothing where there is none."""

from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.history import plants_kills, plants_rest
from tests.history.check import INVARIANTS, judge
from tests.history.clean import MORE_HALTS, PLANS, Halt, Planned, with_always
from tests.history.planting import Bed
from tests.history.records import Outage
from tests.history.told import History

Plant = Callable[[Bed], History]

PLANTS: tuple[Plant, ...] = tuple(
    plant
    for room in (plants_kills, plants_rest)
    for name, plant in vars(room).items()
    if name[0] == "i" and name[1].isdigit()
)


def invariant_of(function: Callable[..., object]) -> str:
    """Return the id in a function's name."""
    return function.__name__.partition("_")[0].upper()


@settings(max_examples=200, deadline=None)
@given(PLANS, MORE_HALTS)
def test_a_clean_history_has_no_violation(plans: list[Planned], halts: list[Halt]) -> None:
    """Whatever calls, kills, lifts, pauses and lost clients come in which order."""
    assert judge(with_always(plans, halts)) == ()


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.__name__)
@settings(max_examples=10, deadline=None)
@given(plans=PLANS, halts=MORE_HALTS, seed=st.integers(0, 2**32))
def test_a_planted_fault_is_found(
    plant: Plant, plans: list[Planned], halts: list[Halt], seed: int
) -> None:
    """Under its invariant, wherever it is planted."""
    found = judge(plant(Bed(with_always(plans, halts), Random(seed))))
    assert invariant_of(plant) in {violation.invariant for violation in found}


@pytest.mark.parametrize("invariant", INVARIANTS, ids=lambda one: one.__name__)
def test_every_invariant_has_a_fault_that_only_it_needs_to_find(
    invariant: Callable[[History], object],
) -> None:
    """No check that cannot fail: some planted fault is told of by this very function."""
    clean = with_always([], [])
    planted = (plant(Bed(clean, Random(1))) for plant in PLANTS)
    assert any(list(invariant(history)) for history in planted)  # type: ignore[call-overload]  # yields


def test_there_are_several_faults_for_every_invariant() -> None:
    """Two at least."""
    kinds = [invariant_of(plant) for plant in PLANTS]
    assert {kinds.count(invariant_of(one)) >= 2 for one in INVARIANTS} == {True}


def test_a_violation_shows_the_records() -> None:
    """Told in words, with what proves it."""
    clean = with_always([], [])
    planted = plants_rest.i8_opaque_sent_again(Bed(clean, Random(1)))
    (found,) = judge(planted)
    assert str(found).startswith("I8: an opaque step was sent again\n    Step(")
    assert str(found).count("Arrival(") == 2


def test_a_frozen_process_is_excused_where_no_tool_could_refuse() -> None:
    """Tier B: a call that was paused right before its write may come late, and is flagged."""
    bed = Bed(with_always([], []), Random(1))
    step, start, kill, committed = bed.covered()
    arrival = bed.of_step(step)
    late = committed + 4
    paused = Outage(start.at, late, start.replica, "paused")
    history = bed.then(bed.changed("arrivals", arrival, at=late)).plus("outages", paused)
    assert judge(bed.then(history).plus("kills", kill)) == ()
