"""Accounts of points of risk: their names, what fits into one, and how a rolling one forgets.

A rolling account counts what was used in the last `window_s` seconds, in 60 buckets per window: a
point is remembered for the window and at most one bucket more, never less. Buckets in the future,
after a clock was set back, count too.
"""

from collections.abc import Sequence

from proxy.model.ledger import Hold

MAX_POINTS = 1_000_000_000
BUCKETS_PER_WINDOW = 60
_SECOND_US = 1_000_000


def session_account(session_id: str) -> str:
    """Return the name of a session's account."""
    return f"session:{session_id}"


def agent_account(tenant: str, agent: str) -> str:
    """Return the name of an agent's account."""
    return f"agent:{tenant}/{agent}"


def is_sane(hold: Hold) -> bool:
    """Whether a hold is of whole points and few enough; an absurd one fits nowhere."""
    whole = all(type(points) is int for points in (hold.risk, hold.limit, hold.window_s or 0))
    return whole and 0 <= hold.risk <= MAX_POINTS and (hold.window_s is None or hold.window_s > 0)


def are_sane(holds: Sequence[Hold]) -> bool:
    """Whether all are, and no account is named twice."""
    return len({hold.account for hold in holds}) == len(holds) and all(map(is_sane, holds))


def width_us(window_s: int) -> int:
    """Return how long a bucket is, in microseconds."""
    return window_s * _SECOND_US // BUCKETS_PER_WINDOW


def horizon_us(window_s: int, at_us: int) -> int:
    """Return the start of the newest bucket that no longer counts."""
    return at_us - window_s * _SECOND_US - width_us(window_s)
