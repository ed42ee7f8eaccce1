"""Budgets in points of risk: used + held <= limit, checked where it is written.

A fixed account counts for ever. A rolling one counts what was used in the last `window_s`
seconds, in 60 buckets per window: a point is remembered for the window and at most one bucket
more, never less. Buckets in the future, after a clock was set back, count too.
"""

import json
import sqlite3
from collections.abc import Sequence

from proxy.model.ledger import Hold, IntentState

MAX_POINTS = 1_000_000_000
BUCKETS_PER_WINDOW = 60
_SECOND_US = 1_000_000

_FIXED = "SELECT used, held FROM accounts WHERE account = ?"
_ROLLING = """
SELECT (SELECT coalesce(sum(used), 0) FROM account_buckets
        WHERE account_buckets.account = accounts.account AND bucket_at > ?), held
FROM accounts WHERE account = ?
"""
_CHARGE = """
INSERT INTO accounts (account, held) VALUES (?, ?)
ON CONFLICT (account) DO UPDATE SET held = held + excluded.held
"""
_RELEASE = "UPDATE accounts SET held = held - ? WHERE account = ?"
_SPEND_FIXED = "UPDATE accounts SET used = used + ? WHERE account = ?"
_SPEND_ROLLING = """
UPDATE account_buckets SET used = used + ? WHERE account = ? AND bucket_at = ?
"""
_NEW_BUCKET = "INSERT INTO account_buckets (used, account, bucket_at) VALUES (?, ?, ?)"
_FORGET = "DELETE FROM account_buckets WHERE account = ? AND bucket_at <= ?"


def session_account(session_id: str) -> str:
    """Return the name of a session's account."""
    return f"session:{session_id}"


def agent_account(tenant: str, agent: str) -> str:
    """Return the name of an agent's account."""
    return f"agent:{tenant}/{agent}"


def balance(
    connection: sqlite3.Connection, account: str, window_s: int | None, at_us: int
) -> tuple[int, int]:
    """Return (used, held) of an account at a time."""
    if window_s is None:
        rows = connection.execute(_FIXED, (account,)).fetchall()
    else:
        rows = connection.execute(_ROLLING, (_horizon_us(window_s, at_us), account)).fetchall()
    return rows[0] if rows else (0, 0)


def have_room(connection: sqlite3.Connection, holds: Sequence[Hold], at_us: int) -> bool:
    """Whether every hold fits, and is a sane one: an absurd cost has no room anywhere."""
    one_each = len({hold.account for hold in holds}) == len(holds)
    return one_each and all(
        _is_sane(hold)
        and sum(balance(connection, hold.account, hold.window_s, at_us)) + hold.risk <= hold.limit
        for hold in holds
    )


def charge(connection: sqlite3.Connection, holds: Sequence[Hold]) -> None:
    """Hold points; the caller has checked that there is room, and remembers the holds."""
    for hold in holds:
        connection.execute(_CHARGE, (hold.account, hold.risk))


def settle(connection: sqlite3.Connection, holds: str, state: IntentState, at_us: int) -> None:
    """Move the points of a step, whose holds are `[account, risk, window_s]` in JSON.

    They are used when it is done and given back when it failed. What is unknown stays held. The
    caller lets a step become done or failed only once.
    """
    if state is IntentState.UNKNOWN:
        return
    for account, risk, window_s in json.loads(holds):
        connection.execute(_RELEASE, (risk, account))
        if state is IntentState.DONE:
            _spend(connection, account, risk, window_s, at_us)


def _spend(
    connection: sqlite3.Connection, account: str, risk: int, window_s: int | None, at_us: int
) -> None:
    if window_s is None:
        connection.execute(_SPEND_FIXED, (risk, account))
        return
    spent = (risk, account, at_us - at_us % _width_us(window_s))
    if connection.execute(_SPEND_ROLLING, spent).rowcount == 0:
        connection.execute(_NEW_BUCKET, spent)
        connection.execute(_FORGET, (account, _horizon_us(window_s, at_us)))


def _is_sane(hold: Hold) -> bool:
    whole = all(type(points) is int for points in (hold.risk, hold.limit, hold.window_s or 0))
    return whole and 0 <= hold.risk <= MAX_POINTS and (hold.window_s is None or hold.window_s > 0)


def _width_us(window_s: int) -> int:
    return window_s * _SECOND_US // BUCKETS_PER_WINDOW


def _horizon_us(window_s: int, at_us: int) -> int:
    """Return the start of the newest bucket that no longer counts."""
    return at_us - window_s * _SECOND_US - _width_us(window_s)
