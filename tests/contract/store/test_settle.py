"""Outcomes: recorded once, moving the points that were held."""

import asyncio

import pytest

from proxy.errors import StoreUnavailable
from proxy.model.ledger import IntentState, StepRow
from proxy.model.session import BudgetView, Session
from proxy.stores.base import Store
from tests.harness.ledger import LIMITS, NOW, Call, after, session, settled

DONE, FAILED, UNKNOWN = IntentState.DONE, IntentState.FAILED, IntentState.UNKNOWN


async def only_step(store: Store) -> StepRow:
    """Return the one step there is."""
    (step,) = await store.steps(None, (), 10)
    return step


async def budget(store: Store) -> BudgetView:
    """Return the session's budget."""
    return (await store.view(session(), LIMITS, NOW)).budget


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (DONE, BudgetView(100, used=5, held=0)),
        (FAILED, BudgetView(100, used=0, held=0)),
        (UNKNOWN, BudgetView(100, used=0, held=5)),
    ],
)
async def test_an_outcome_moves_what_was_held(
    store: Store, opened: Session, state: IntentState, expected: BudgetView
) -> None:
    """Done uses it, failed gives it back, unknown keeps it held."""
    await store.reserve(Call().reservation())
    await store.settle(settled(state=state, detail="told"))
    step = await only_step(store)
    assert (step.state, step.detail) == (state, "told")
    assert await budget(store) == expected


@pytest.mark.parametrize("first", [DONE, FAILED])
@pytest.mark.parametrize("second", [DONE, FAILED, UNKNOWN])
async def test_a_final_outcome_stands(
    store: Store, opened: Session, first: IntentState, second: IntentState
) -> None:
    """Settling again changes neither state, detail, labels nor budget."""
    await store.reserve(Call().reservation())
    await store.settle(settled(state=first, detail="first"))
    before = await store.view(opened, LIMITS, NOW)
    await store.settle(settled(state=second, detail="second", labels=("late",)))
    assert await store.view(opened, LIMITS, NOW) == before
    assert (await only_step(store)).detail == "first"


@pytest.mark.parametrize("late", [DONE, FAILED])
async def test_unknown_may_become_final(store: Store, opened: Session, late: IntentState) -> None:
    """The held points move then, once."""
    await store.reserve(Call().reservation())
    await store.settle(settled(state=UNKNOWN))
    for _ in range(2):
        await store.settle(settled(state=late, at=after(60)))
        assert (await only_step(store)).state is late
        assert await budget(store) == BudgetView(100, used=5 if late is DONE else 0)


async def test_unknown_again_changes_nothing(store: Store, opened: Session) -> None:
    """The first word about an unknown outcome stands until it is known."""
    await store.reserve(Call().reservation())
    await store.settle(settled(state=UNKNOWN, detail="first"))
    await store.settle(settled(state=UNKNOWN, detail="second"))
    assert (await only_step(store)).detail == "first"


async def test_a_late_outcome_replaces_the_stored_answer(store: Store, opened: Session) -> None:
    """And leaves it when it brings none."""
    for step, late, expected in (("s1", b"done", b"done"), ("s2", None, b"unknown")):
        await store.reserve(Call(step, key=step).reservation())
        await store.settle(settled(step, UNKNOWN, answer=b"unknown"))
        await store.settle(settled(step, DONE, answer=late))
        again = await store.reserve(Call("again", key=step).reservation())
        assert again.answer == expected


async def test_a_step_that_was_never_reserved_settles_to_nothing(store: Store) -> None:
    """No error and no row: closing what was refused is harmless."""
    await store.settle(settled("nobody"))
    assert await store.steps(None, (), 10) == ()


@pytest.mark.parametrize("state", [IntentState.INTENT, IntentState.SENDING])
async def test_only_outcomes_settle(store: Store, opened: Session, state: IntentState) -> None:
    """A step does not go back."""
    await store.reserve(Call().reservation())
    with pytest.raises(ValueError, match="done, failed or unknown"):
        await store.settle(settled(state=state))
    assert (await only_step(store)).state is IntentState.INTENT


async def test_sending_is_marked_once(store: Store, opened: Session) -> None:
    """Only an intent may be sent: not what is sending, settled, or not there."""
    await store.reserve(Call().reservation())
    await store.mark_sending("stp1")
    assert (await only_step(store)).state is IntentState.SENDING
    for step in ("stp1", "nobody"):
        with pytest.raises(StoreUnavailable, match="not an open intent"):
            await store.mark_sending(step)
    await store.settle(settled())
    with pytest.raises(StoreUnavailable):
        await store.mark_sending("stp1")


async def test_open_intents_become_unknown(store: Store, opened: Session) -> None:
    """Intent and sending, oldest first, their points still held; settled ones stay."""
    for step in ("s1", "s2", "s3", "s4"):
        await store.reserve(Call(step, risk=1).reservation())
    await store.mark_sending("s2")
    await store.settle(settled("s3"))
    await store.settle(settled("s4", UNKNOWN))
    found = await store.open_intents_to_unknown(after(1))
    assert [(step.intent.step_id, step.state) for step in found] == [
        ("s1", UNKNOWN), ("s2", UNKNOWN),
    ]  # fmt: skip
    assert found == tuple(reversed(await store.steps(None, ("unknown",), 10)))[:2]
    assert await budget(store) == BudgetView(100, used=1, held=3)
    assert await store.open_intents_to_unknown(after(2)) == ()


async def test_a_cancelled_caller_leaves_a_whole_reservation_or_none(
    store: Store, opened: Session
) -> None:
    """The batch goes on for the others, and settling closes what was reserved."""
    tasks = [
        asyncio.create_task(store.reserve(Call(f"s{n}", risk=1).reservation())) for n in range(9)
    ]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await store.ping()
    steps = await store.steps(None, (), 20)
    assert {f"s{n}" for n in (1, 3, 5, 7)} <= {step.intent.step_id for step in steps}
    assert (await budget(store)).held == len(steps)
    for n in range(9):
        await store.settle(settled(f"s{n}", FAILED))
    assert await budget(store) == BudgetView(100)
