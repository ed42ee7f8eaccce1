"""Budgets: used + held <= limit, whatever happens at once."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from proxy.model.ledger import Hold, ReserveStatus
from proxy.model.session import Session
from proxy.stores.base import Store
from tests.harness.ledger import LIMITS, NOW, WINDOW_S, Call, after, session, settled

RESERVED, EXHAUSTED = ReserveStatus.RESERVED, ReserveStatus.BUDGET_EXHAUSTED


async def status(store: Store, call: Call) -> ReserveStatus:
    """Reserve and return how it ended."""
    return (await store.reserve(call.reservation())).status


async def test_a_budget_is_spent_to_its_last_point(store: Store, opened: Session) -> None:
    """100 of 100 fit, one more does not; nothing costs nothing."""
    assert await status(store, Call("s1", risk=60)) is RESERVED
    await store.settle(settled("s1"))
    assert await status(store, Call("s2", risk=41)) is EXHAUSTED
    assert await status(store, Call("s3", risk=40)) is RESERVED
    assert await status(store, Call("s4", risk=1)) is EXHAUSTED
    assert await status(store, Call("s5", risk=0)) is RESERVED


async def test_either_account_refuses_for_both(store: Store, opened: Session) -> None:
    """When the agent's has no room, the session's is not charged."""
    assert await status(store, Call("s1", risk=10, agent_limit=9)) is EXHAUSTED
    view = await store.view(opened, LIMITS, NOW)
    assert (view.budget.held, view.agent_budget.held) == (0, 0)


async def test_sessions_of_an_agent_share_its_budget(store: Store, opened: Session) -> None:
    """A new session is no way around the rolling budget; another agent has its own."""
    other = await store.open_session(session("ses2"), None, 10)
    stranger = await store.open_session(session("ses3", agent="other"), None, 10)
    assert await status(store, Call("s1", opened, risk=80, agent_limit=100)) is RESERVED
    assert await status(store, Call("s2", other, risk=21, agent_limit=100)) is EXHAUSTED
    assert await status(store, Call("s3", stranger, risk=21, agent_limit=100)) is RESERVED


async def test_the_window_rolls_and_the_session_does_not(store: Store) -> None:
    """Points used come back to the agent after the window, counted from the settlement."""
    owner = await store.open_session(session(expires_at=after(10 * WINDOW_S)), None, 10)
    spent = Call("s1", owner, risk=60, agent_limit=60)
    assert await status(store, spent) is RESERVED
    await store.settle(settled("s1", at=after(100)))
    early = replace(spent, step="s2", risk=1, at=after(99 + WINDOW_S))
    assert await status(store, early) is EXHAUSTED
    late = replace(spent, step="s3", risk=40, at=after(101 + WINDOW_S * 61 / 60))
    assert await status(store, late) is RESERVED
    assert await status(store, replace(late, step="s4", risk=1)) is EXHAUSTED


async def test_a_clock_set_back_frees_nothing(store: Store, opened: Session) -> None:
    """Points used in what is now the future still count."""
    assert await status(store, Call("s1", risk=60, agent_limit=60)) is RESERVED
    await store.settle(settled("s1", at=after(10 * WINDOW_S)))
    assert await status(store, Call("s2", risk=1, agent_limit=60)) is EXHAUSTED


async def test_a_lowered_limit_reserves_nothing_more(store: Store, opened: Session) -> None:
    """What is used beyond it stays used."""
    assert await status(store, Call("s1", risk=60)) is RESERVED
    assert await status(store, Call("s2", risk=1, agent_limit=10)) is EXHAUSTED


@pytest.mark.parametrize(
    "absurd",
    [
        {"risk": -1},
        {"risk": -(2**70)},
        {"risk": 2**63, "limit": 2**64},
        {"risk": 10**9 + 1, "limit": 10**12},
        {"risk": float("nan")},
        {"risk": 0.5},
        {"risk": True},
        {"risk": "1"},
        {"limit": float("inf")},
        {"window_s": 0},
        {"window_s": -1},
    ],
    ids=str,
)
async def test_an_absurd_cost_is_refused(
    store: Store, opened: Session, absurd: dict[str, Any]
) -> None:
    """Negative, fractional, not a number, beyond any budget: no room, nothing written."""
    hold = replace(Hold("session:ses1", 100, 5), **absurd)
    reserved = await store.reserve(replace(Call().reservation(), holds=(hold,)))
    assert reserved.status is EXHAUSTED
    assert (await store.view(opened, LIMITS, NOW)).budget.held == 0


async def test_one_account_is_held_once_in_a_reservation(store: Store, opened: Session) -> None:
    """Two holds of one account could each fit and both not: refused."""
    holds = (Hold("session:ses1", 100, 60), Hold("session:ses1", 100, 60))
    reserved = await store.reserve(replace(Call().reservation(), holds=holds))
    assert reserved.status is EXHAUSTED


async def test_a_call_without_holds_costs_nothing(store: Store, opened: Session) -> None:
    """It is reserved like any other."""
    reserved = await store.reserve(replace(Call().reservation(), holds=()))
    assert reserved.status is RESERVED


async def test_concurrent_calls_never_overspend(store: Store, opened: Session) -> None:
    """Forty calls of seven points at once: fourteen fit into a hundred."""
    calls = [Call(f"s{n}", risk=7) for n in range(40)]
    got = await asyncio.gather(*(status(store, call) for call in calls))
    assert got.count(RESERVED) == 14
    assert (await store.view(opened, LIMITS, NOW)).budget.left == 2
