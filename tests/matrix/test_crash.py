"""Which trials the crash matrix has: every point with every class on both stores."""

import pytest

from tests.harness.crashing import OF_ASKED, OF_OPAQUE
from tests.matrix.crash import STORES, TURNS, cells, crashes, table_of
from tests.matrix.crash_judge import Kind
from tests.matrix.crash_lane import POINTS, Crash


def test_a_whole_run_kills_more_than_a_thousand_times() -> None:
    """All cells, three times: with all calls at the point, one, and some."""
    whole = crashes(TURNS * len(cells()))
    assert len(whole) >= 1_000
    assert {crash.wanted for _, crash in whole.values()} == {8, 1, 4}
    assert {crash.asks_again for _, crash in whole.values()} == {True, False}


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("kind", Kind)
def test_every_point_that_can_be_is_tried(store: str, kind: Kind) -> None:
    """Only what never happens is left out."""
    tried = {crash.point for name, crash in cells() if name == store and crash.kind is kind}
    never = set() if kind is Kind.OPAQUE else set(OF_OPAQUE)
    never |= {"tool-arrived"} if kind is Kind.READ else set()
    assert tried == set(POINTS) - never


def test_what_cannot_be_asked_is_not_killed_while_it_is_asked() -> None:
    """A tool is asked again by a key or a recipe only."""
    asked = {crash.kind for _, crash in cells() if crash.then in OF_ASKED}
    assert asked == {Kind.KEYED, Kind.PROBED}
    assert Crash("after-reserve", Kind.OPAQUE, then="before-resolve").is_possible


def test_a_smaller_run_is_spread_and_always_the_same() -> None:
    """A trial is known by its name, whatever runs beside it."""
    some = crashes(40)
    assert list(some) == list(crashes(40))
    assert some.keys() <= crashes(TURNS * len(cells())).keys()
    assert len({crash.point for _, crash in some.values()}) > 20


@pytest.mark.parametrize(("by", "first"), [("point", "before-authenticate"), ("store", "sqlite")])
def test_rows_are_what_was_asked_for(by: str, first: str) -> None:
    """Points, classes or stores."""
    assert table_of(len(cells()), STORES, by).trials[0].row == first
