"""Sessions and tool uses by the names that agents with hooks give them."""

import asyncio

import pytest

from proxy.errors import Refused
from proxy.model.hook import HookKey
from proxy.model.ledger import IntentState
from proxy.model.session import BudgetView, Session, SessionState
from proxy.stores.base import Store
from tests.harness.ledger import LIMITS, NOW, Call, after, session, settled

KEY = HookKey("claude-code", "s1")
DAY_S = 24 * 3600


async def test_a_session_is_found_by_its_name(store: Store) -> None:
    """Of that agent, that program."""
    opened = await store.open_hook_session(session(), KEY, 10)
    assert await store.hook_session("acme", "loop", KEY) == opened
    assert await store.hook_session("acme", "other", KEY) is None
    assert await store.hook_session("globex", "loop", KEY) is None
    assert await store.hook_session("acme", "loop", HookKey("codex", "s1")) is None


async def test_a_name_has_one_open_session(store: Store) -> None:
    """Two that open it at once get the same."""
    both = await asyncio.gather(
        *(store.open_hook_session(session(name), KEY, 10) for name in ("ses1", "ses2"))
    )
    assert both[0] == both[1]
    assert len(await store.sessions(10)) == 1


@pytest.mark.parametrize("is_ended", [True, False])
async def test_a_name_whose_session_is_over_gets_another(store: Store, is_ended: bool) -> None:
    """Ended or expired; the newest one is found."""
    first = await store.open_hook_session(session(expires_at=after(10)), KEY, 10)
    if is_ended:
        await store.end_session(first.id, after(5))
        found = await store.hook_session("acme", "loop", KEY)
        assert found is not None
        assert found.state is SessionState.ENDED
    at = after(20)
    second = await store.open_hook_session(session("ses2", opened_at=at), KEY, 10)
    assert second.id == "ses2"
    assert await store.hook_session("acme", "loop", KEY) == second


async def test_idle_sessions_make_room(store: Store) -> None:
    """Agents that crashed never ended theirs; one that was used within the hour stays."""
    for name in ("ses0", "ses1"):
        own = session(name, expires_at=after(9000))
        await store.open_hook_session(own, HookKey("cc", name), 2)
    await store.reserve(Call(session=own, at=after(3000)).reservation())
    later = session("ses2", opened_at=after(3700), expires_at=after(9000))
    await store.open_hook_session(later, HookKey("cc", "ses2"), 2)
    found = await store.sessions(10)
    assert {one.id for one in found if one.state is SessionState.OPEN} == {"ses1", "ses2"}


async def test_sessions_in_use_make_no_room(store: Store, opened: Session) -> None:
    """Nor do those that agents opened with a token."""
    await store.open_hook_session(session("ses2"), KEY, 2)
    with pytest.raises(Refused, match="too-many-sessions"):
        await store.open_hook_session(session("ses3"), HookKey("cc", "s3"), 2)


async def test_a_locked_agent_opens_none(store: Store) -> None:
    """As with every other kind."""
    await store.lock_agent("acme", "loop", "bait", NOW)
    with pytest.raises(Refused, match="agent-locked"):
        await store.open_hook_session(session(), KEY, 10)


async def test_an_announced_tool_use_finds_its_session_once_it_comes(
    store: Store, opened: Session
) -> None:
    """And is known to have come."""
    assert await store.is_carried("acme", "loop", "t1") is None
    await store.announce(opened, "t1", NOW)
    assert await store.is_carried("acme", "loop", "t1") is False
    assert await store.carry("acme", "loop", "t1") == opened
    assert await store.is_carried("acme", "loop", "t1") is True


async def test_nobody_elses_tool_use_is_found(store: Store, opened: Session) -> None:
    """Ids are names of one agent."""
    await store.announce(opened, "t1", NOW)
    assert await store.carry("acme", "other", "t1") is None
    assert await store.carry("globex", "loop", "t1") is None
    assert await store.is_carried("globex", "loop", "t1") is None


async def test_the_first_announcement_stands(store: Store, opened: Session) -> None:
    """A second session cannot draw the call to itself."""
    other = await store.open_session(session("ses2"), None, 10)
    await store.announce(opened, "t1", NOW)
    await store.announce(other, "t1", NOW)
    assert await store.carry("acme", "loop", "t1") == opened


async def test_tool_uses_are_forgotten_after_a_day(store: Store, opened: Session) -> None:
    """When the next one is announced."""
    await store.announce(opened, "t1", NOW)
    await store.announce(opened, "t2", after(DAY_S))
    assert await store.is_carried("acme", "loop", "t1") is False
    await store.announce(opened, "t3", after(DAY_S + 1))
    assert await store.is_carried("acme", "loop", "t1") is None


async def test_a_step_is_found_by_its_key(store: Store, opened: Session) -> None:
    """In its own session only."""
    await store.reserve(Call(key="k1").reservation())
    found = await store.step_of(opened, "k1")
    assert found is not None
    assert found.intent.step_id == "stp1"
    assert await store.step_of(opened, "k2") is None
    assert await store.step_of(session("ses2"), "k1") is None


@pytest.mark.parametrize("state", [IntentState.DONE, IntentState.FAILED, IntentState.UNKNOWN])
async def test_points_that_are_spent_are_used_whatever_came_of_it(
    store: Store, opened: Session, state: IntentState
) -> None:
    """Once: a later word moves nothing."""
    await store.reserve(Call().reservation())
    for _ in range(2):
        await store.settle(settled(state=state, spent=True))
    await store.settle(settled(state=IntentState.FAILED))
    assert (await store.view(opened, LIMITS, NOW)).budget == BudgetView(100, used=5, held=0)


async def test_points_that_are_held_can_be_spent_later(store: Store, opened: Session) -> None:
    """A step that a restart made unknown is closed by its agent."""
    await store.reserve(Call().reservation())
    await store.open_intents_to_unknown(NOW)
    await store.settle(settled(state=IntentState.UNKNOWN, spent=True, detail="told"))
    assert (await store.view(opened, LIMITS, NOW)).budget == BudgetView(100, used=5, held=0)
    (step,) = await store.steps(None, (), 10)
    assert (step.state, step.detail) == (IntentState.UNKNOWN, "told")
