"""Accounts, fixed and rolling."""

import sqlite3
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.model.ledger import Hold, IntentState
from proxy.stores.accounts import MAX_POINTS, horizon_us
from proxy.stores.rows import hold_values
from proxy.stores.sqlite import budgets

FIXED = Hold("session:a", 100, 10)
ROLLING = Hold("agent:t/a", 100, 10, 60)
SECOND_US = 1_000_000


BALANCE = """
SELECT (SELECT coalesce(sum(used), 0) FROM account_buckets
        WHERE account_buckets.account = accounts.account AND bucket_at > ?) + used, held
FROM accounts WHERE account = ?
"""


def balance(connection: sqlite3.Connection, hold: Hold, at_us: int) -> tuple[int, int]:
    """Return (used, held) of an account."""
    horizon = horizon_us(hold.window_s or 0, at_us)
    rows = connection.execute(BALANCE, (horizon, hold.account)).fetchall()
    return rows[0] if rows else (0, 0)


def spend(connection: sqlite3.Connection, hold: Hold, at_us: int) -> None:
    """Hold and use points."""
    budgets.charge(connection, hold_values([hold]))
    budgets.settle(connection, hold_values([hold]), IntentState.DONE, at_us)


@pytest.mark.parametrize("hold", [FIXED, ROLLING])
@pytest.mark.parametrize(
    ("state", "expected"),
    [(IntentState.DONE, (10, 0)), (IntentState.FAILED, (0, 0)), (IntentState.UNKNOWN, (0, 10))],
)
def test_points_move_with_the_outcome(
    connection: sqlite3.Connection, hold: Hold, state: IntentState, expected: tuple[int, int]
) -> None:
    """Used, given back, or still held."""
    budgets.charge(connection, hold_values([hold]))
    budgets.settle(connection, hold_values([hold]), state, 0)
    assert balance(connection, hold, 0) == expected


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(
    window_s=st.integers(1, 100_000),
    spent_us=st.integers(0, 2**50),
    asked=st.floats(0, 2, allow_nan=False),
)
def test_a_point_counts_for_its_window_and_at_most_one_bucket_more(
    connection: sqlite3.Connection, window_s: int, spent_us: int, asked: float
) -> None:
    """Never less than the window, whatever its length and phase."""
    hold = Hold("agent:t/a", 100, 1, window_s)
    connection.execute("DELETE FROM account_buckets")
    spend(connection, hold, spent_us)
    age_us = int(asked * window_s * SECOND_US)
    used, _ = balance(connection, hold, spent_us + age_us)
    if age_us < window_s * SECOND_US:
        assert used == 1
    elif age_us > window_s * SECOND_US * 61 / 60 + 1:
        assert used == 0


def test_buckets_stay_few(connection: sqlite3.Connection) -> None:
    """What no longer counts is forgotten; a window is at most 62 rows."""
    for second in range(1000):
        spend(connection, ROLLING, second * SECOND_US)
    ((count,),) = connection.execute("SELECT count(*) FROM account_buckets").fetchall()
    assert count <= 62
    used, held = balance(connection, ROLLING, 999 * SECOND_US)
    assert (used, held) == (610, 0)


@pytest.mark.parametrize(
    ("holds", "room"),
    [
        ([], True),
        ([Hold("session:a", 100, 100)], True),
        ([Hold("session:a", 100, 101)], False),
        ([FIXED, ROLLING], True),
        ([FIXED, FIXED], False),
        ([FIXED, Hold("agent:t/a", 9, 10, 60)], False),
        ([Hold("session:a", 100, -1)], False),
        ([Hold("session:a", -1, 0)], False),
        ([Hold("agent:t/a", 100, 1, 0)], False),
        ([Hold("agent:t/a", 100, 1, -60)], False),
        ([Hold("session:a", 10**12, MAX_POINTS)], True),
        ([Hold("session:a", 10**12, MAX_POINTS + 1)], False),
    ],
)
def test_there_is_room_or_not(
    connection: sqlite3.Connection, holds: list[Hold], room: bool
) -> None:
    """All holds together, each sane."""
    assert budgets.have_room(connection, holds, 0) is room


@pytest.mark.parametrize("hold", [FIXED, ROLLING])
@pytest.mark.parametrize("state", [IntentState.DONE, IntentState.UNKNOWN])
def test_points_used_and_held_take_room(
    connection: sqlite3.Connection, hold: Hold, state: IntentState
) -> None:
    """To the last point, whichever of the two they are."""
    budgets.charge(connection, hold_values([replace(hold, risk=60)]))
    budgets.settle(connection, hold_values([replace(hold, risk=60)]), state, 0)
    budgets.charge(connection, hold_values([replace(hold, risk=30)]))
    assert budgets.have_room(connection, [hold], 0)
    assert not budgets.have_room(connection, [replace(hold, risk=11)], 0)


def test_only_what_a_window_remembers_takes_room(connection: sqlite3.Connection) -> None:
    """A fixed account forgets nothing."""
    for hold in (FIXED, ROLLING):
        spend(connection, replace(hold, risk=100), 0)
    assert budgets.have_room(connection, [ROLLING], 62 * SECOND_US)
    assert not budgets.have_room(connection, [FIXED], 62 * SECOND_US)
    assert not budgets.have_room(connection, [ROLLING, FIXED], 62 * SECOND_US)
