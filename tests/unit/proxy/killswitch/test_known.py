import threading
from datetime import UTC, datetime

import pytest

from proxy.killswitch.known import KnownLog
from proxy.model.kill import KillAction, KillEntry, KillOrder, Scope, ScopeKind

AT = datetime(2026, 1, 1, tzinfo=UTC)
EACH = 300


def entry(epoch: int) -> KillEntry:
    scope = Scope(ScopeKind.AGENT, f"acme/{epoch}")
    return KillEntry(epoch, KillOrder(f"kil_{epoch}", KillAction.KILL, (scope,), "oncall", "", AT))


@pytest.fixture
def known() -> KnownLog:
    return KnownLog()


def test_what_follows_moves_what_is_synced(known: KnownLog) -> None:
    """And is told once."""
    assert known.add((entry(1), entry(2)), follow=True) == (entry(1), entry(2))
    assert known.add((entry(2),), follow=True) == ()
    assert (known.now.synced, known.now.state.epoch) == (2, 2)


def test_an_order_of_ours_may_have_others_missing_before_it(known: KnownLog) -> None:
    """It is in force; what is synced stays, until all before it are known."""
    known.add((entry(3),), follow=False)
    assert (known.now.synced, known.now.state.epoch) == (0, 3)
    assert known.since(0) == ()
    assert known.add((entry(1), entry(2), entry(3)), follow=True) == (entry(1), entry(2))
    assert known.since(1) == (entry(2), entry(3))


def test_nothing_new_replaces_nothing(known: KnownLog) -> None:
    """A renewal every fraction of a second folds no log."""
    known.add((entry(1),), follow=True)
    before = known.now
    known.add((), follow=True)
    known.add((entry(1),), follow=True)
    assert known.now is before


def test_two_writers_lose_nothing_and_a_reader_sees_epochs_grow(known: KnownLog) -> None:
    """Kills of others on one thread, kills of ours on another, a look on a third (I4)."""
    seen: list[tuple[int, int]] = []
    done = threading.Event()

    def write(first: int, *, follow: bool) -> None:
        for epoch in range(first, 2 * EACH, 2):
            known.add((entry(epoch),), follow=follow)

    def read() -> None:
        while not done.is_set():
            now = known.now
            seen.append((now.synced, now.state.epoch))

    reader = threading.Thread(target=read)
    writers = [
        threading.Thread(target=write, args=(first,), kwargs={"follow": bool(first)})
        for first in (0, 1)
    ]
    for thread in (reader, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    reader.join()
    assert {one.epoch for one in known.now.entries} == set(range(2 * EACH))
    assert seen == sorted(seen, key=lambda pair: pair[0]) == sorted(seen, key=lambda pair: pair[1])
