from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from proxy.model.kill import (
    GLOBAL,
    KillAction,
    KillEntry,
    KillOrder,
    KillState,
    Scope,
    ScopeKind,
    scopes_of,
)

AT = datetime(2026, 11, 22, tzinfo=UTC)
AGENT = Scope(ScopeKind.AGENT, "acme/loop")
TOOL = Scope(ScopeKind.TOOL, "repo/git_commit")


def kill(epoch: int, *scopes: Scope) -> KillEntry:
    return KillEntry(epoch, KillOrder(f"k{epoch}", KillAction.KILL, scopes, "oncall", "test", AT))


def lift(epoch: int, lifted: KillEntry) -> KillEntry:
    order = KillOrder(
        f"l{epoch}", KillAction.LIFT, lifted.order.scopes, "lead", "over", AT, lifted.epoch
    )
    return KillEntry(epoch, order)


def test_an_empty_log_covers_nothing() -> None:
    """Without a kill every scope is free and the floor is 0."""
    state = KillState.fold(())
    assert state.covering([GLOBAL, AGENT]) is None
    assert state.floor([GLOBAL, AGENT]) == 0


def test_a_kill_covers_its_scope_until_exactly_it_is_lifted() -> None:
    """Two kills of one scope need two lifts."""
    first, second = kill(1, AGENT), kill(2, AGENT)
    assert KillState.fold((first, second, lift(3, first))).covering([AGENT]) == second
    both = (first, second, lift(3, first), lift(4, second))
    assert KillState.fold(both).covering([AGENT]) is None


def test_the_floor_is_the_last_epoch_that_touched_a_scope() -> None:
    """A decision made before a kill and its lift stays below the floor."""
    first = kill(1, AGENT)
    state = KillState.fold((first, lift(2, first), kill(3, TOOL)))
    assert state.floor([AGENT]) == 2
    assert state.floor([TOOL, AGENT]) == 3
    assert state.epoch == 3


def test_a_lift_without_its_kill_changes_no_active_kill() -> None:
    """A lift that names nothing leaves every kill in force."""
    stray = KillOrder("l9", KillAction.LIFT, (AGENT,), "lead", "stray", AT)
    state = KillState.fold((kill(1, AGENT), KillEntry(2, stray)))
    assert state.covering([AGENT]) is not None


def test_a_call_stands_under_five_scopes() -> None:
    """Global, tenant, agent, session and, for a call, its tool."""
    scopes = scopes_of("acme", "loop", "ses_1", "repo/git_commit")
    assert {scope.kind for scope in scopes} == set(ScopeKind)
    assert len(scopes_of("acme", "loop", "ses_1")) == 4


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), max_size=20))
def test_the_fold_agrees_with_counting(actions: list[tuple[bool, int]]) -> None:
    """Whatever the log, a scope is covered exactly while one of its kills is not lifted."""
    entries: list[KillEntry] = []
    open_kills: dict[int, KillEntry] = {}
    for epoch, (is_kill, which) in enumerate(actions, 1):
        if is_kill or not open_kills:
            entry = kill(epoch, Scope(ScopeKind.SESSION, str(which)))
            open_kills[epoch] = entry
        else:
            chosen = sorted(open_kills)[which % len(open_kills)]
            entry = lift(epoch, open_kills.pop(chosen))
        entries.append(entry)
    state = KillState.fold(reversed(entries))
    assert {entry.epoch for entry in state.active} == set(open_kills)
