"""Budgets in points of risk: used + held <= limit, checked where it is written.

A fixed account counts for ever in its row, a rolling one in buckets; see proxy.stores.accounts.
"""

import json
import sqlite3
from collections.abc import Sequence

from proxy.model.ledger import Hold, IntentState
from proxy.stores.accounts import are_sane, horizon_us, width_us

_ROOM = """
SELECT NOT EXISTS (
    SELECT 1 FROM (SELECT value ->> 0 AS account, value ->> 1 AS risk, value ->> 2 AS most,
                          value ->> 3 AS horizon
                   FROM json_each(?)) AS hold
    LEFT JOIN accounts ON accounts.account = hold.account
    WHERE coalesce(CASE WHEN horizon IS NULL THEN used ELSE
                   (SELECT sum(bucket.used) FROM account_buckets AS bucket
                    WHERE bucket.account = hold.account AND bucket_at > horizon) END, 0)
          + coalesce(held, 0) + risk > most)
"""
_CHARGE = """
INSERT INTO accounts (account, held)
SELECT value ->> 0, value ->> 1 FROM json_each(?) WHERE true
ON CONFLICT (account) DO UPDATE SET held = held + excluded.held
"""
_MOVE = "UPDATE accounts SET held = held - ?, used = used + ? WHERE account = ?"
_SPEND_ROLLING = """
UPDATE account_buckets SET used = used + ? WHERE account = ? AND bucket_at = ?
"""
_NEW_BUCKET = "INSERT INTO account_buckets (used, account, bucket_at) VALUES (?, ?, ?)"
_FORGET = "DELETE FROM account_buckets WHERE account = ? AND bucket_at <= ?"


def have_room(connection: sqlite3.Connection, holds: Sequence[Hold], at_us: int) -> bool:
    """Whether every hold fits, and is a sane one: an absurd cost has no room anywhere."""
    if not are_sane(holds):
        return False
    asked = [(hold.account, hold.risk, hold.limit, _horizon(hold, at_us)) for hold in holds]
    ((has_room,),) = connection.execute(_ROOM, (json.dumps(asked),)).fetchall()
    return bool(has_room)


def charge(connection: sqlite3.Connection, holds: str) -> None:
    """Hold points, `[account, risk, …]` of each in JSON, as the step remembers them.

    The caller has checked that there is room.
    """
    connection.execute(_CHARGE, (holds,))


def settle(connection: sqlite3.Connection, holds: str, state: IntentState, at_us: int) -> None:
    """Move the points of a step, whose holds are `[account, risk, window_s]` in JSON.

    They are used when it is done and given back when it failed. What is unknown stays held. The
    caller lets a step become done or failed only once.
    """
    if state is IntentState.UNKNOWN:
        return
    for account, risk, window_s in json.loads(holds):
        used = risk if state is IntentState.DONE else 0
        connection.execute(_MOVE, (risk, used if window_s is None else 0, account))
        if used and window_s is not None:
            _spend(connection, account, used, window_s, at_us)


def _spend(
    connection: sqlite3.Connection, account: str, risk: int, window_s: int, at_us: int
) -> None:
    spent = (risk, account, at_us - at_us % width_us(window_s))
    if connection.execute(_SPEND_ROLLING, spent).rowcount == 0:
        connection.execute(_NEW_BUCKET, spent)
        connection.execute(_FORGET, (account, horizon_us(window_s, at_us)))


def _horizon(hold: Hold, at_us: int) -> int | None:
    return None if hold.window_s is None else horizon_us(hold.window_s, at_us)
