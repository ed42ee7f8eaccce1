"""Reservations: everything durable in one transaction, or nothing."""

import asyncio
from dataclasses import replace

import pytest

from proxy.errors import StoreUnavailable
from proxy.model.kill import Scope, scopes_of
from proxy.model.ledger import IntentState, Reserved, ReserveStatus
from proxy.model.session import BudgetView, Session
from proxy.stores.base import Store
from tests.harness.ledger import LIMITS, NOW, Call, after, kill, lift, session, settled

SCOPES = scopes_of("acme", "loop", "ses1", "repo/git_commit")
STRANGERS = scopes_of("acm", "other", "ses2", "repo/git_push")[1:]


async def status(store: Store, call: Call) -> ReserveStatus:
    """Reserve and return how it ended."""
    return (await store.reserve(call.reservation())).status


async def nothing_was_written(store: Store, opened: Session) -> bool:
    """Whether the ledger shows no trace of a call."""
    view = await store.view(opened, LIMITS, NOW)
    fresh = view.step == 1 and not view.labels and view.budget == BudgetView(opened.risk_limit)
    return fresh and not await store.steps(None, (), 10) and not await store.decisions(10, ("*",))


async def test_a_reservation_is_written_whole(store: Store, opened: Session) -> None:
    """Intent, audit record, holds, labels: all there when it returns."""
    call = Call(labels=("untrusted",), credential=True, key="k")
    assert await store.reserve(call.reservation()) == Reserved(ReserveStatus.RESERVED, number=1)
    (step,) = await store.steps(opened.id, (), 10)
    assert step.intent == call.intent
    assert (step.number, step.state, step.detail) == (1, IntentState.INTENT, "")
    assert (step.decision_id, step.policy_revision, step.risk) == ("dec-stp1", "git:abc", 5)
    assert await store.decisions(10, ("acme",)) == (call.decision,)
    view = await store.view(opened, LIMITS, NOW)
    assert view.labels == ("untrusted",)
    assert view.budget.held == view.agent_budget.held == call.risk


async def test_steps_are_numbered_within_their_session(store: Store, opened: Session) -> None:
    """Each session counts from one, without gaps for refusals."""
    other = await store.open_session(session("ses2"), None, 10)
    numbers = [
        (await store.reserve(Call(f"stp{n}", owner, risk=risk).reservation())).number
        for n, (owner, risk) in enumerate(
            [(opened, 1), (opened, 1), (other, 1), (opened, 10**6), (opened, 1)]
        )
    ]
    assert numbers == [1, 2, 1, 0, 3]


async def test_a_further_round_has_the_number_of_its_first(store: Store, opened: Session) -> None:
    """When that is a step of the same session; of another one it is a step like any."""
    other = await store.open_session(session("ses2"), None, 10)
    await store.reserve(Call("s1", opened, risk=1).reservation())
    await store.reserve(Call("s2", opened, risk=1).reservation())

    async def number(step: str, owner: Session, continues: str) -> int:
        asked = Call(step, owner, risk=1).reservation()
        intent = replace(asked.intent, continues=continues)
        return (await store.reserve(replace(asked, intent=intent))).number

    assert await number("s3", opened, "s1") == 1
    assert await number("s4", other, "s1") == 1
    assert await number("s5", other, "s2") == 2
    assert await number("s6", opened, "unknown") == 3


async def test_concurrent_reservations_get_different_numbers(store: Store, opened: Session) -> None:
    """Fifty at once are fifty steps, 1 to 50."""
    calls = [Call(f"stp{n}", opened, risk=1) for n in range(50)]
    got = await asyncio.gather(*(store.reserve(call.reservation()) for call in calls))
    assert sorted(one.number for one in got) == list(range(1, 51))


@pytest.mark.parametrize("how", ["ended", "expired", "never opened", "of another agent"])
async def test_a_closed_session_reserves_nothing(store: Store, opened: Session, how: str) -> None:
    """Ended, past its expiry, unknown, or not the caller's."""
    call = Call()
    if how == "ended":
        await store.end_session(opened.id, NOW)
    elif how == "expired":
        call = Call(at=opened.expires_at)
    elif how == "never opened":
        call = Call(session=session("ses2"))
    else:
        call = Call(session=session(agent="thief"))
    assert await status(store, call) is ReserveStatus.SESSION_CLOSED
    assert await nothing_was_written(store, opened)


async def test_a_locked_agent_reserves_nothing(store: Store, opened: Session) -> None:
    """Not in a session it had open before the lock either."""
    await store.lock_agent("acme", "loop", "canary", NOW)
    assert await status(store, Call()) is ReserveStatus.LOCKED
    assert await nothing_was_written(store, opened)


@pytest.mark.parametrize("scope", SCOPES, ids=str)
async def test_an_active_kill_of_any_scope_refuses(
    store: Store, opened: Session, scope: Scope
) -> None:
    """Even a decision made under the kill's own epoch, as long as it is in force."""
    entry = await store.append_kill(kill("ord1", scope))
    assert await status(store, Call(epoch=entry.epoch)) is ReserveStatus.KILLED
    assert await nothing_was_written(store, opened)


@pytest.mark.parametrize("scope", STRANGERS, ids=str)
async def test_a_kill_of_others_refuses_nobody_else(
    store: Store, opened: Session, scope: Scope
) -> None:
    """A scope that only resembles ours does not cover us."""
    await store.append_kill(kill("ord1", scope))
    assert await status(store, Call()) is ReserveStatus.RESERVED


async def test_a_decision_older_than_a_lift_is_refused(store: Store, opened: Session) -> None:
    """After kill and lift only decisions of the lift's epoch go on."""
    killed = await store.append_kill(kill("ord1", SCOPES[2]))
    lifted = await store.append_kill(lift("ord2", killed.epoch, SCOPES[2]))
    for epoch in (0, killed.epoch):
        assert await status(store, Call(epoch=epoch)) is ReserveStatus.KILLED
    assert await status(store, Call(epoch=lifted.epoch)) is ReserveStatus.RESERVED


async def test_lifting_one_kill_leaves_the_other_in_force(store: Store, opened: Session) -> None:
    """Two kills of one scope need two lifts; lifting one twice lifts only that."""
    first = await store.append_kill(kill("ord1"))
    second = await store.append_kill(kill("ord2"))
    await store.append_kill(lift("ord3", first.epoch))
    last = await store.append_kill(lift("ord4", first.epoch))
    assert await status(store, Call(epoch=last.epoch)) is ReserveStatus.KILLED
    last = await store.append_kill(lift("ord5", second.epoch))
    assert await status(store, Call(epoch=last.epoch)) is ReserveStatus.RESERVED


async def test_a_reservation_must_stand_under_the_global_scope(
    store: Store, opened: Session
) -> None:
    """A caller that forgets the scopes cannot slip past a kill."""
    with pytest.raises(ValueError, match="global scope"):
        await store.reserve(replace(Call().reservation(), scopes=()))
    assert await nothing_was_written(store, opened)


async def test_refusals_come_in_the_order_of_the_port(store: Store, opened: Session) -> None:
    """Closed before locked before killed before the budget."""
    call = Call(risk=10**6)
    await store.append_kill(kill("ord1"))
    await store.lock_agent("acme", "loop", "canary", NOW)
    await store.end_session(opened.id, NOW)
    assert await status(store, call) is ReserveStatus.SESSION_CLOSED
    await store.open_session(session("ses2", agent="next"), None, 10)
    await store.lock_agent("acme", "next", "canary", NOW)
    moved = Call(session=session("ses2", agent="next"), risk=10**6)
    assert await status(store, moved) is ReserveStatus.LOCKED
    await store.unlock_agent("acme", "next")
    assert await status(store, moved) is ReserveStatus.KILLED


async def test_a_step_is_reserved_once(store: Store, opened: Session) -> None:
    """The same step or decision again is an error, and the first stays as it is."""
    await store.reserve(Call().reservation())
    with pytest.raises(StoreUnavailable):
        await store.reserve(Call().reservation())
    again = replace(Call("stp2").reservation(), decision=Call("stp1").decision)
    with pytest.raises(StoreUnavailable):
        await store.reserve(again)
    view = await store.view(opened, LIMITS, NOW)
    assert (view.step, view.budget.held) == (2, 5)


async def test_a_new_key_reserves(store: Store, opened: Session) -> None:
    """Keys differ by key, and by session of the same agent."""
    other = await store.open_session(session("ses2"), None, 10)
    for step, owner, key in (("s1", opened, "k1"), ("s2", opened, "k2"), ("s3", other, "k1")):
        assert await status(store, Call(step, owner, key=key)) is ReserveStatus.RESERVED


@pytest.mark.parametrize("state", [None, "sending", IntentState.UNKNOWN])
async def test_the_same_key_waits_while_the_outcome_is_open(
    store: Store, opened: Session, state: str | None
) -> None:
    """Intent, sending, or unknown without a stored answer: running, never again."""
    await store.reserve(Call(key="k").reservation())
    if state == "sending":
        await store.mark_sending("stp1")
    elif state is not None:
        await store.settle(settled(state=IntentState.UNKNOWN))
    again = await store.reserve(Call("stp2", key="k").reservation())
    assert again == Reserved(ReserveStatus.RUNNING, number=1)


@pytest.mark.parametrize("state", [IntentState.DONE, IntentState.FAILED, IntentState.UNKNOWN])
async def test_the_same_key_gets_the_stored_answer(
    store: Store, opened: Session, state: IntentState
) -> None:
    """The bytes that were stored, also when the agent was killed and locked since."""
    await store.reserve(Call(key="k").reservation())
    await store.settle(settled(state=state, answer=b'{"outcome":"x"}'))
    await store.append_kill(kill("ord1"))
    await store.lock_agent("acme", "loop", "canary", NOW)
    await store.end_session(opened.id, NOW)
    again = await store.reserve(Call("stp2", key="k").reservation())
    assert again == Reserved(ReserveStatus.REPLAY, number=1, answer=b'{"outcome":"x"}')


async def test_a_final_step_without_an_answer_replays_nothing(
    store: Store, opened: Session
) -> None:
    """It is replayed all the same: it must not run twice."""
    await store.reserve(Call(key="k").reservation())
    await store.settle(settled())
    again = await store.reserve(Call("stp2", key="k").reservation())
    assert again == Reserved(ReserveStatus.REPLAY, number=1)


async def test_a_key_for_another_request_is_a_mismatch(store: Store, opened: Session) -> None:
    """Whatever became of the first."""
    await store.reserve(Call(key="k").reservation())
    other = Call("stp2", key="k", body=b"{}")
    assert await status(store, other) is ReserveStatus.MISMATCH
    await store.settle(settled(answer=b"{}"))
    assert await status(store, other) is ReserveStatus.MISMATCH


async def test_a_refused_reservation_does_not_use_up_its_key(store: Store, opened: Session) -> None:
    """Nothing happened, so the key may be tried again."""
    assert await status(store, Call(key="k", risk=101)) is ReserveStatus.BUDGET_EXHAUSTED
    assert await status(store, Call(key="k", risk=100)) is ReserveStatus.RESERVED


async def test_of_many_with_one_key_one_reserves(store: Store, opened: Session) -> None:
    """Twenty at once: one step, nineteen told to wait."""
    calls = [Call(f"stp{n}", key="k", at=after(n)) for n in range(20)]
    got = await asyncio.gather(*(status(store, call) for call in calls))
    assert sorted(got) == [ReserveStatus.RESERVED, *[ReserveStatus.RUNNING] * 19]
    assert len(await store.steps(None, (), 50)) == 1
