"""Accounts: their names, what fits, and how long a point is remembered."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.model.ledger import Hold
from proxy.stores.accounts import (
    MAX_POINTS,
    agent_account,
    are_sane,
    horizon_us,
    is_sane,
    session_account,
    width_us,
)

SECOND_US = 1_000_000


def test_accounts_are_named_as_holds_name_them() -> None:
    """By session, and by tenant and agent."""
    assert session_account("a") == "session:a"
    assert agent_account("t", "a") == "agent:t/a"


@pytest.mark.parametrize(
    ("hold", "sane"),
    [
        (Hold("a", 100, 0), True),
        (Hold("a", 10**12, MAX_POINTS), True),
        (Hold("a", 10**12, MAX_POINTS + 1), False),
        (Hold("a", 100, -1), False),
        (Hold("a", 100, True), False),
        (Hold("a", 100, 1, 0), False),
        (Hold("a", 100, 1, 60), True),
    ],
)
def test_an_absurd_hold_fits_nowhere(hold: Hold, sane: bool) -> None:
    """Less than nothing, more than anybody has, no whole number, no window."""
    assert is_sane(hold) is sane


def test_an_account_is_held_once() -> None:
    """Two holds of one account could each fit alone."""
    assert are_sane([Hold("a", 9, 5), Hold("b", 9, 5)])
    assert not are_sane([Hold("a", 9, 5), Hold("a", 9, 5)])


@given(st.integers(1, 10**6), st.integers(0, 2**53))
def test_what_no_longer_counts_is_older_than_the_window(window_s: int, at_us: int) -> None:
    """By one bucket at most."""
    age_us = at_us - horizon_us(window_s, at_us)
    assert age_us == window_s * SECOND_US + width_us(window_s)
