"""Steps that were left open: marked, taken by one at a time, tried again, settled."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from proxy.model.kill import Scope, ScopeKind, scopes_of
from proxy.model.ledger import IntentState, PendingCredential, ReserveStatus
from proxy.model.recovery import Resolution, Resumption, Take
from proxy.model.session import BudgetView, Mode, Session
from proxy.stores.base import Store
from tests.harness.ledger import LIMITS, NOW, SESSION, Call, after, kill, session, settled
from tests.harness.stores import Place

STUCK, ABORTED = IntentState.STUCK, IntentState.ABORTED
UNKNOWN, DONE, FAILED = IntentState.UNKNOWN, IntentState.DONE, IntentState.FAILED
HELD, GIVEN_BACK, USED = BudgetView(100, held=5), BudgetView(100), BudgetView(100, used=5)
AGENT = Scope(ScopeKind.AGENT, "acme/loop")


def take(by: str = "me", at: float = 10, until: float = 20) -> Take:
    """Return an asking for whatever is due."""
    return Take(by, after(at), after(until), gone_after_s=0)


def resolution(
    state: IntentState, by: str | None = "me", answer: bytes | None = None
) -> Resolution:
    """Return what stp1 is."""
    return Resolution("stp1", state, after(11), "because", by, answer)


CALL = Call(key="k1", credential=True)
INTENT = replace(
    CALL.intent,
    continues="stp0",
    holder="hld_1",
    timeout_s=7.5,
    roles=("dev",),
    mode=Mode.READ_ONLY,
    extras=b'{"a":1}',
    meta=b'{"b":2}',
)


@pytest.fixture
async def left(place: Place) -> AsyncIterator[Store]:
    """A store that finds stp1 open, as one before it left it."""
    before = place.store()
    await before.open()
    await before.open_session(session(), "a" * 64, 10)
    await before.reserve(replace(CALL.reservation(), intent=INTENT))
    await before.mark_sending("stp1")
    await before.close()
    store = place.store()
    await store.open()
    await store.open_intents_to_unknown(after(1))
    yield store
    await store.close()


async def budget(store: Store) -> BudgetView:
    """Return the session's budget."""
    return (await store.view(SESSION, LIMITS, NOW)).budget


async def state(store: Store) -> IntentState:
    """Return the state of stp1."""
    row = await store.step("stp1")
    assert row is not None
    return row.state


async def test_a_step_that_is_taken_has_all_that_recovery_needs(left: Store) -> None:
    """How it was left, since when, its credential, and what a further attempt takes."""
    (found,) = await left.take_unsettled(take())
    assert found.row.intent == INTENT
    assert (found.id, found.row.state, found.left_as) == ("stp1", UNKNOWN, IntentState.SENDING)
    assert (found.since, found.tries, found.key) == (after(1), 0, "k1")
    assert found.lent is not None
    assert (found.lent.broker, found.lent.lease_id) == ("jwt", "lease-stp1")
    assert (found.lent.expires_at, found.lent.ended) == (after(30), False)


async def test_what_an_owner_itself_calls_unknown_is_taken_too(
    store: Store, opened: Session
) -> None:
    """It was left by nobody; its credential was given back."""
    await store.reserve(Call(credential=True).reservation())
    assert await store.take_unsettled(take()) == ()
    await store.settle(settled(state=UNKNOWN, at=after(2)))
    (found,) = await store.take_unsettled(take())
    assert (found.left_as, found.since) == (None, after(2))
    assert found.lent is not None
    assert found.lent.ended


async def test_points_that_are_spent_need_no_recovery(store: Store, opened: Session) -> None:
    """An agent ran that tool itself."""
    await store.reserve(Call().reservation())
    await store.settle(settled(state=UNKNOWN, spent=True))
    assert await store.take_unsettled(take()) == ()


async def test_a_taken_step_is_nobody_elses_until_its_time(left: Store) -> None:
    """Whoever took it and went away had it for that long."""
    assert len(await left.take_unsettled(take("one"))) == 1
    assert await left.take_unsettled(take("two", at=19)) == ()
    (found,) = await left.take_unsettled(take("two", at=20, until=30))
    assert found.tries == 0
    assert not await left.resolve(resolution(DONE, by="one"))
    assert await left.resolve(resolution(DONE, by="two"))


async def test_a_postponed_step_is_due_again_and_counts_its_tries(left: Store) -> None:
    """Only its taker postpones it."""
    await left.take_unsettled(take())
    await left.postpone("stp1", "other", after(0), tried=True)
    await left.postpone("stp1", "me", after(15), tried=True)
    assert await left.take_unsettled(take(at=14)) == ()
    (found,) = await left.take_unsettled(take(at=15, until=30))
    assert found.tries == 1
    await left.postpone("stp1", "me", after(16), tried=False)
    (found,) = await left.take_unsettled(take(at=16, until=30))
    assert found.tries == 1


@pytest.mark.parametrize(
    ("state_", "points"), [(DONE, USED), (ABORTED, GIVEN_BACK), (FAILED, GIVEN_BACK), (STUCK, HELD)]
)
async def test_points_follow_what_a_step_is(
    left: Store, state_: IntentState, points: BudgetView
) -> None:
    """Used when done, given back when it never was, held while nobody knows."""
    assert await budget(left) == HELD
    await left.take_unsettled(take())
    assert await left.resolve(resolution(state_))
    assert await budget(left) == points
    (row,) = await left.steps(None, (state_,), 10)
    assert (row.state, row.detail) == (state_, "because")
    assert await state(left) is state_
    assert await left.take_unsettled(take(at=99)) == ()
    assert not await left.resolve(resolution(DONE))
    assert await budget(left) == points


@pytest.mark.parametrize("state_", [UNKNOWN, IntentState.INTENT, IntentState.SENDING])
async def test_what_is_no_resolution_is_refused(left: Store, state_: IntentState) -> None:
    """Nothing changes."""
    await left.take_unsettled(take())
    with pytest.raises(ValueError, match="resolved as"):
        await left.resolve(resolution(state_))


async def test_a_stuck_step_is_settled_by_an_operator(left: Store) -> None:
    """No other is, and none twice."""
    assert not await left.resolve(resolution(DONE, by=None))
    await left.take_unsettled(take())
    assert not await left.resolve(resolution(DONE, by=None))
    assert await left.resolve(resolution(STUCK))
    assert await left.steps(None, (UNKNOWN,), 10) == ()
    assert await left.resolve(resolution(DONE, by=None))
    assert not await left.resolve(resolution(FAILED, by=None))
    assert (await state(left), await budget(left)) == (DONE, USED)


async def test_a_late_outcome_is_the_last_word_on_a_stuck_step(left: Store) -> None:
    """Its owner was frozen and not gone."""
    await left.take_unsettled(take())
    await left.resolve(resolution(STUCK))
    await left.settle(settled(state=UNKNOWN))
    assert await state(left) is STUCK
    await left.settle(settled())
    assert (await state(left), await budget(left)) == (DONE, USED)
    assert not await left.resolve(resolution(FAILED, by=None))


async def test_an_aborted_step_is_final(left: Store) -> None:
    """Its points are back; they are not moved again."""
    await left.take_unsettled(take())
    await left.resolve(resolution(ABORTED))
    await left.settle(settled())
    assert (await state(left), await budget(left)) == (ABORTED, GIVEN_BACK)


async def test_a_resolved_key_is_answered(left: Store) -> None:
    """With the answer that recovery wrote."""
    await left.take_unsettled(take())
    await left.resolve(resolution(DONE, answer=b'{"outcome":"done"}'))
    again = await left.reserve(replace(CALL, step="stp2").reservation())
    assert (again.status, again.answer) == (ReserveStatus.REPLAY, b'{"outcome":"done"}')


async def test_nothing_is_sent_of_a_step_that_was_left(left: Store) -> None:
    """Its owner comes back and finds that it is not an open intent any more."""
    with pytest.raises(Exception, match="nothing may be sent"):
        await left.mark_sending("stp1")


def resumption(by: str = "me", epoch: int = 0, **changes: object) -> Resumption:
    """Return a further attempt of stp1."""
    scopes = scopes_of("acme", "loop", "ses1", "repo/git_commit")
    lent = PendingCredential("lease-2", "jwt", "https://tool", ("repo:write",), after(60))
    asked = Resumption("stp1", by, "acme", "loop", "ses1", scopes, epoch, after(12), lent)
    return replace(asked, **changes)  # type: ignore[arg-type]  # of the test's choosing


async def test_a_further_attempt_is_of_its_taker_alone(left: Store) -> None:
    """And has a credential of its own."""
    await left.take_unsettled(take())
    assert await left.resume(resumption("other")) is ReserveStatus.RUNNING
    assert await left.resume(resumption()) is ReserveStatus.RESERVED
    assert await budget(left) == HELD
    (found,) = await left.take_unsettled(take(at=20, until=30))
    assert found.lent is not None
    assert (found.lent.lease_id, found.lent.expires_at) == ("lease-2", after(60))
    await left.end_credential("stp1")
    (found,) = await left.take_unsettled(take(at=30, until=40))
    assert found.lent is not None
    assert found.lent.ended
    assert await left.resume(resumption(credential=None)) is ReserveStatus.RESERVED
    (found,) = await left.take_unsettled(take(at=40, until=50))
    assert found.lent is None


async def test_a_further_attempt_passes_the_checks_of_a_reservation(left: Store) -> None:
    """Killed, decided before a kill, locked, its session over."""
    await left.take_unsettled(take())
    await left.append_kill(kill("ord1", AGENT))
    assert await left.resume(resumption(epoch=1)) is ReserveStatus.KILLED
    await left.append_kill(replace(kill("ord2", Scope(ScopeKind.TENANT, "other"))))
    assert await left.resume(resumption(scopes=(Scope(ScopeKind.GLOBAL),), epoch=0)) is (
        ReserveStatus.RESERVED
    )
    await left.lock_agent("acme", "loop", "canary", after(12))
    assert await left.resume(resumption(epoch=9)) is ReserveStatus.LOCKED
    await left.end_session("ses1", after(12))
    assert await left.resume(resumption(epoch=9)) is ReserveStatus.SESSION_CLOSED


async def test_a_sidecar_that_is_silent_is_gone(store: Store, opened: Session) -> None:
    """And never one that lives; its step is nobody's before."""
    call = Call().reservation()
    await store.reserve(replace(call, intent=replace(call.intent, holder="side/hld_1")))
    await store.note_sidecars(("side/hld_1", "side/hld_2"))
    assert await store.abandoned_to_unknown(after(1), 60) == ()
    assert await store.open_intents_to_unknown(after(1)) == ()
    (found,) = await store.abandoned_to_unknown(after(1), 0)
    assert (found.intent.step_id, found.state) == ("stp1", UNKNOWN)
    assert await store.take_unsettled(replace(take(), gone_after_s=60)) == ()
    assert len(await store.take_unsettled(take())) == 1


async def test_our_own_open_intents_are_never_abandoned(store: Store, opened: Session) -> None:
    """Whatever has been heard of us."""
    await store.reserve(Call().reservation())
    await store.note_sidecars(())
    assert await store.abandoned_to_unknown(after(1), 0) == ()
    assert await state(store) is IntentState.INTENT


async def test_an_owner_that_is_back_and_knows_no_more_gives_its_step_up(left: Store) -> None:
    """From there on it is as any unknown one."""
    await left.settle(settled(state=UNKNOWN))
    (found,) = await left.take_unsettled(take())
    assert found.left_as is None


async def test_what_is_not_settled_is_counted(store: Store, opened: Session) -> None:
    """By state, stuck ones too."""
    assert await store.unsettled() == {}
    for step in ("s1", "s2", "s3"):
        await store.reserve(Call(step, risk=1).reservation())
    await store.settle(settled("s1"))
    await store.settle(settled("s2", UNKNOWN))
    assert await store.unsettled() == {IntentState.INTENT: 1, UNKNOWN: 1}
    await store.take_unsettled(take())
    await store.resolve(replace(resolution(STUCK), step_id="s2"))
    assert await store.unsettled() == {IntentState.INTENT: 1, STUCK: 1}
    assert await store.step("nobody") is None
