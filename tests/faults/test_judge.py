"""The judge finds every planted violation, and nothing in a trial that held."""

from dataclasses import replace

import pytest

from tests.faults.judge import HEALTHY_S, Seen, judge
from tests.harness.arrivals import Arrival

COMMIT = 100.0
LATE = Arrival(COMMIT + 2.0, "/start", "freeze gateway-1")
REFUSED = Arrival(COMMIT + 2.0, "/fenced", "freeze gateway-1", "expired")
HELD = Seen(
    committed_at=COMMIT,
    deadline_at=COMMIT + 2.07,
    effective_at=COMMIT + 2.0,
    arrivals=(Arrival(COMMIT - 0.1, "/start", "relay-1"), Arrival(COMMIT + 1.9, "/start", "a")),
    streams={"gateway-1": COMMIT + 0.01, "sidecar-1": COMMIT + 3.9},
)
FROZEN = replace(HELD, arrivals=(LATE,), must_flag=1, flagged=1)
FENCED = replace(FROZEN, arrivals=(REFUSED,))

SLOW = replace(HELD, effective_at=COMMIT + 2.97, deadline_at=COMMIT + 2.9)


def start(after_s: float) -> tuple[Arrival, ...]:
    return (Arrival(COMMIT + after_s, "/start", "sidecar-7"),)


@pytest.mark.parametrize("seen", [HELD, FROZEN, FENCED], ids=["plain", "frozen", "fenced"])
def test_a_trial_that_held_has_no_problem(seen: Seen) -> None:
    """Starts before the bound, streams closed in time, late starts flagged, late calls refused."""
    assert judge(seen).problems == ()


@pytest.mark.parametrize(
    ("seen", "told"),
    [
        (replace(SLOW, arrivals=start(3.01)), "I1: 1 starts"),
        (replace(HELD, effective_at=None), "did not become effective"),
        (replace(HELD, effective_at=COMMIT + 2.4), "after its deadline"),
        (replace(HELD, arrivals=start(2.06)), "I17: 1 starts"),
        (replace(HELD, streams={"relay-2": None}), "I5: streams left open at relay-2"),
        (replace(HELD, streams={"relay-2": COMMIT + 4.1}), "I5: streams left open at relay-2"),
        (replace(FROZEN, flagged=0), "I18: 0 of 1"),
        (replace(FROZEN, arrivals=()), "void"),
        (replace(FENCED, arrivals=(replace(REFUSED, refused=""),)), "tier A: 1 late calls taken"),
    ],
    ids=["bound", "never", "deadline", "early", "open", "closed late", "flag", "void", "tier A"],
)
def test_a_planted_violation_is_told(seen: Seen, told: str) -> None:
    """One problem each, and it names what is broken."""
    (problem,) = judge(seen).problems
    assert told in problem


def test_a_healthy_fleet_has_a_bar_of_its_own() -> None:
    """100 ms, not 3 s."""
    seen = replace(HELD, arrivals=start(0.11))
    assert judge(seen).problems == ()
    assert len(judge(seen, HEALTHY_S).problems) == 1


def test_figures_are_those_of_the_last_start() -> None:
    """In milliseconds after the commit; what the tool refused did not start."""
    figures = judge(replace(FENCED, arrivals=(*start(0.5), REFUSED))).figures
    assert (figures["start_ms"], figures["starts"]) == (500.0, 1.0)
    assert (figures["fenced"], figures["refused"]) == (1.0, 1.0)
    assert (figures["effective_ms"], figures["streams_ms"]) == (2_000.0, 3_900.0)


def test_a_clock_that_nobody_can_find_out_is_counted_and_no_fault() -> None:
    """It drifts by more than was agreed on; the bound holds all the same."""
    found = judge(replace(HELD, arrivals=start(2.06), is_in_model=False))
    assert (found.problems, found.figures["early"]) == ((), 1.0)
