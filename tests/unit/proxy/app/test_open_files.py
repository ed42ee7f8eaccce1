import resource
from collections.abc import Callable

import pytest

from proxy.app import checks
from proxy.app.open_files import ATTACH_CONNECTIONS, attach_room, room_for

INFINITY = resource.RLIM_INFINITY
Limit = Callable[[int, int], list[tuple[int, int]]]


@pytest.fixture
def limit(monkeypatch: pytest.MonkeyPatch) -> Limit:
    """Pretend these limits; the list tells how they were changed."""

    def pretend(soft: int, hard: int) -> list[tuple[int, int]]:
        changed: list[tuple[int, int]] = []
        monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, hard))
        monkeypatch.setattr(resource, "setrlimit", lambda _, limits: changed.append(limits))
        return changed

    return pretend


@pytest.mark.parametrize("soft", [1_600, 50_000, INFINITY])
def test_a_limit_that_is_high_enough_stays(limit: Limit, soft: int) -> None:
    """600 files are for everything else."""
    changed = limit(soft, INFINITY)
    assert (room_for(1_000), changed) == (1_000, [])


@pytest.mark.parametrize("hard", [1_600, 50_000, INFINITY])
def test_a_limit_that_is_too_low_is_raised(limit: Limit, hard: int) -> None:
    """As far as is needed."""
    changed = limit(1_024, hard)
    assert (room_for(1_000), changed) == (1_000, [(1_600, hard)])


@pytest.mark.parametrize(("hard", "room"), [(1_599, 999), (700, 100), (64, 1)])
def test_what_cannot_be_raised_is_what_there_is(limit: Limit, hard: int, room: int) -> None:
    """Operators and ledger come first."""
    changed = limit(64, hard)
    assert (room_for(1_000), changed) == (room, [(hard, hard)])


def test_too_little_room_is_warned_of(limit: Limit) -> None:
    """With the cure; enough is not worth a word."""
    limit(64, 700)
    (finding,) = checks._room(1_000)
    assert (finding.level, finding.what) == ("warning", "listen")
    assert "only 100 connections" in finding.message
    assert "ulimit -n" in finding.message
    limit(64, INFINITY)
    assert checks._room(1_000) == []


def test_sidecars_have_room_beside_agents(limit: Limit) -> None:
    """What files there are, agents and everything else taken away; one at least."""
    limit(1_024, INFINITY)
    assert attach_room(1_000) == ATTACH_CONNECTIONS
    limit(1_024, 4_000)
    assert attach_room(1_000) == 4_000 - 600 - 1_000
    limit(1_024, 1_024)
    assert attach_room(1_000) == 1
