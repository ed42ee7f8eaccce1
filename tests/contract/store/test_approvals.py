"""Approvals: asked once, decided once, used once, by nothing but the call they are for (I14)."""

import asyncio
from dataclasses import replace
from datetime import datetime

import pytest

from proxy.model.approval import Approval, ApprovalState, Binding
from proxy.model.kill import GLOBAL, Scope, ScopeKind, scopes_of
from proxy.model.ledger import ReserveStatus
from proxy.model.session import BudgetView, Session
from proxy.stores.base import Store
from tests.harness.approving import BINDING, LIFETIME_S, OTHERS, question, reservation, ruling
from tests.harness.ledger import LIMITS, NOW, Call, after, kill, lift, session
from tests.harness.stores import Place

CAP = 3


@pytest.fixture
async def approved(store: Store, opened: Session) -> Approval:
    """An approval that could be used."""
    await store.ask_approval(question(), CAP)
    assert await store.rule_approval(ruling())
    standing = await store.standing_approval(BINDING, after(2))
    assert standing is not None
    return standing


async def state(store: Store, at: datetime = NOW, approval_id: str = "apr1") -> ApprovalState:
    """Return the state an approval is in at a time."""
    found = await store.approval(approval_id, at)
    assert found is not None
    return found.state


async def used(store: Store, approval: Approval, call: Call | None = None) -> ReserveStatus:
    """Reserve with an approval and return how that ended."""
    return (await store.reserve(reservation(approval, call))).status


async def test_a_question_is_stored_as_it_was_asked(store: Store) -> None:
    """Whole, and found by its id."""
    assert await store.ask_approval(question(), CAP) == question()
    assert await store.approval("apr1", NOW) == question()
    assert await store.approval("apr2", NOW) is None


async def test_the_same_question_is_asked_once(store: Store) -> None:
    """Whoever asks again gets the one that stands, whatever became of it."""
    await store.ask_approval(question(), CAP)
    assert await store.ask_approval(question("apr2", asked_at=after(1)), CAP) == question()
    await store.rule_approval(ruling(state=ApprovalState.DENIED))
    standing = await store.ask_approval(question("apr2", asked_at=after(2)), CAP)
    assert standing is not None
    assert (standing.id, standing.state) == ("apr1", ApprovalState.DENIED)
    assert await store.approval("apr2", after(2)) is None


async def test_many_who_ask_at_once_get_one_question(store: Store) -> None:
    """Twenty of the same call."""
    questions = [question(f"apr{n}") for n in range(20)]
    got = await asyncio.gather(*(store.ask_approval(one, CAP) for one in questions))
    assert len({one.id for one in got if one}) == 1
    assert len(await store.approvals(None, ("*",), 100, NOW)) == 1


@pytest.mark.parametrize("binding", OTHERS.values(), ids=OTHERS)
async def test_another_request_is_another_question(store: Store, binding: Binding) -> None:
    """Whatever differs: tenant, agent, tool, request, pin or policy."""
    await store.ask_approval(question(), CAP)
    other = question("apr2", binding=binding)
    assert await store.ask_approval(other, CAP) == other
    assert await store.standing_approval(binding, NOW) == other
    assert await store.standing_approval(BINDING, NOW) == question()


async def test_an_agent_has_so_many_pending(store: Store) -> None:
    """The next is refused until one is decided or expires; other agents have their own."""
    for n in range(CAP):
        asked = question(f"apr{n}", binding=replace(BINDING, request_sha256=str(n) * 64))
        assert await store.ask_approval(asked, CAP) == asked
    assert await store.ask_approval(question(), CAP) is None
    theirs = question("apr9", binding=OTHERS["agent"])
    assert await store.ask_approval(theirs, CAP) == theirs
    late = question("apr8", asked_at=after(LIFETIME_S))
    assert await store.ask_approval(late, CAP) == late


@pytest.mark.parametrize("said", [ApprovalState.APPROVED, ApprovalState.DENIED])
async def test_a_question_is_decided_once(store: Store, said: ApprovalState) -> None:
    """The first word stands, with who said it, when and why."""
    await store.ask_approval(question(), CAP)
    assert await store.rule_approval(ruling(state=said))
    for again in (ApprovalState.APPROVED, ApprovalState.DENIED):
        assert not await store.rule_approval(ruling(state=again, by="somebody", note="no"))
    found = await store.approval("apr1", after(2))
    assert found is not None
    assert (found.state, found.decided_by, found.note) == (said, "oncall", "looks right")
    assert found.decided_at == after(1)


async def test_nobody_decides_what_is_not_there_or_too_late(store: Store) -> None:
    """An unknown id; the moment it expires."""
    await store.ask_approval(question(), CAP)
    assert not await store.rule_approval(ruling("apr2"))
    assert not await store.rule_approval(ruling(at=after(LIFETIME_S)))
    assert await state(store, after(LIFETIME_S)) is ApprovalState.EXPIRED


@pytest.mark.parametrize("said", [ApprovalState.USED, ApprovalState.PENDING, ApprovalState.EXPIRED])
async def test_only_yes_and_no_are_answers(store: Store, said: ApprovalState) -> None:
    """Nobody marks an approval used by hand."""
    await store.ask_approval(question(), CAP)
    with pytest.raises(ValueError, match="approved or denied"):
        await store.rule_approval(ruling(state=said))
    assert await state(store) is ApprovalState.PENDING


async def test_an_approval_is_used_once(store: Store, approved: Approval) -> None:
    """By the reservation it lets through; the next one needs another."""
    assert await used(store, approved) is ReserveStatus.RESERVED
    assert await state(store, after(2)) is ApprovalState.USED
    assert await store.standing_approval(BINDING, after(2)) is None
    second = Call("stp2", at=after(3))
    assert await used(store, approved, second) is ReserveStatus.APPROVAL_SPENT


async def test_of_many_with_one_approval_one_reserves(store: Store, approved: Approval) -> None:
    """Twenty at once."""
    calls = [Call(f"stp{n}", at=after(2)) for n in range(20)]
    got = await asyncio.gather(*(used(store, approved, call) for call in calls))
    assert sorted(got) == [*[ReserveStatus.APPROVAL_SPENT] * 19, ReserveStatus.RESERVED]


async def test_a_reservation_that_is_refused_uses_nothing_up(
    store: Store, opened: Session, approved: Approval
) -> None:
    """And one whose approval is spent writes nothing."""
    broke = Call(risk=10**6, at=after(2))
    assert await used(store, approved, broke) is ReserveStatus.BUDGET_EXHAUSTED
    assert await state(store, after(2)) is ApprovalState.APPROVED
    await used(store, approved)
    assert await used(store, approved, Call("stp2")) is ReserveStatus.APPROVAL_SPENT
    view = await store.view(opened, LIMITS, NOW)
    assert (view.step, view.budget) == (2, BudgetView(100, 0, 5))


@pytest.mark.parametrize("said", [None, ApprovalState.DENIED])
async def test_what_nobody_approved_reserves_nothing(
    store: Store, opened: Session, said: ApprovalState | None
) -> None:
    """Pending or denied."""
    await store.ask_approval(question(), CAP)
    if said is not None:
        await store.rule_approval(ruling(state=said))
    assert await used(store, question()) is ReserveStatus.APPROVAL_SPENT


async def test_an_approval_is_not_used_late(store: Store, approved: Approval) -> None:
    """Good until it expires, not at that moment."""
    late = Call(at=after(LIFETIME_S))
    assert await used(store, approved, late) is ReserveStatus.APPROVAL_SPENT
    in_time = Call(at=after(LIFETIME_S - 0.001))
    assert await used(store, approved, in_time) is ReserveStatus.RESERVED


@pytest.mark.parametrize("binding", OTHERS.values(), ids=OTHERS)
async def test_an_approval_stands_for_no_other_request(
    store: Store, approved: Approval, binding: Binding
) -> None:
    """Whatever differs from what was approved."""
    assert await store.standing_approval(BINDING, after(2)) == approved
    assert await store.standing_approval(binding, after(2)) is None


@pytest.mark.parametrize("changed", ["arguments", "pin", "policy"])
async def test_an_approval_is_not_used_for_another_request(
    store: Store, approved: Approval, changed: str
) -> None:
    """The id alone opens nothing."""
    claimed = replace(approved, binding=OTHERS[changed])
    assert await used(store, claimed) is ReserveStatus.APPROVAL_SPENT
    assert await state(store, after(2)) is ApprovalState.APPROVED


async def test_who_calls_is_read_from_the_intent(store: Store, approved: Approval) -> None:
    """Another agent that claims the binding has not got it."""
    thief = session("ses2", agent="thief")
    await store.open_session(thief, None, 10)
    call = Call(session=thief, at=after(2))
    assert await used(store, approved, call) is ReserveStatus.APPROVAL_SPENT


@pytest.mark.parametrize("scope", scopes_of("acme", "loop", "ses1", "repo/git_commit"), ids=str)
async def test_a_kill_overtakes_what_was_asked_before_it(
    store: Store, approved: Approval, scope: Scope
) -> None:
    """And so does its lift: neither given nor used afterwards."""
    await store.ask_approval(question("apr2", binding=OTHERS["arguments"]), CAP)
    killed = await store.append_kill(kill("ord1", scope))
    lifted = await store.append_kill(lift("ord2", killed.epoch, scope))
    assert await state(store, after(2)) is ApprovalState.EXPIRED
    assert await store.standing_approval(BINDING, after(2)) is None
    assert not await store.rule_approval(ruling("apr2"))
    call = Call(epoch=lifted.epoch, at=after(2))
    assert await used(store, approved, call) is ReserveStatus.APPROVAL_SPENT
    anew = question("apr3", epoch=lifted.epoch)
    assert await store.ask_approval(anew, CAP) == anew


async def test_a_kill_of_others_overtakes_nothing(store: Store, approved: Approval) -> None:
    """Another tenant's incident is not ours."""
    await store.append_kill(kill("ord1", Scope(ScopeKind.TENANT, "globex")))
    assert await used(store, approved) is ReserveStatus.RESERVED


async def test_approvals_are_listed_newest_first_by_state(store: Store, opened: Session) -> None:
    """As they stand at that time."""
    for n in range(4):
        asked = question(f"apr{n}", binding=replace(BINDING, request_sha256=str(n) * 64))
        await store.ask_approval(asked, 10)
    await store.rule_approval(ruling("apr1"))
    await store.rule_approval(ruling("apr2", ApprovalState.DENIED))
    wanted = {None: "3210", ApprovalState.PENDING: "30", ApprovalState.APPROVED: "1"}
    wanted |= {ApprovalState.DENIED: "2", ApprovalState.EXPIRED: "", ApprovalState.USED: ""}
    for one, ids in wanted.items():
        found = await store.approvals(one, ("*",), 10, after(2))
        assert [row.id for row in found] == [f"apr{n}" for n in ids]
    late = await store.approvals(ApprovalState.EXPIRED, ("*",), 10, after(LIFETIME_S))
    assert [row.id for row in late] == ["apr3", "apr1", "apr0"]
    assert len(await store.approvals(None, ("*",), 2, NOW)) == 2


async def test_a_list_has_the_tenants_that_are_asked_for(store: Store) -> None:
    """None at all for no tenant (I20)."""
    await store.ask_approval(question(), CAP)
    theirs = question("apr2", binding=OTHERS["tenant"])
    await store.ask_approval(theirs, CAP)
    for tenants, ids in (
        (("acme",), {"apr1"}),
        (("acme", "globex"), {"apr1", "apr2"}),
        ((), set()),
    ):
        found = await store.approvals(None, tenants, 10, NOW)
        assert {row.id for row in found} == ids


async def test_an_approval_survives_the_process(place: Place) -> None:
    """Asked, decided and used: all of it is on the disk."""
    first = place.store()
    await first.open()
    await first.open_session(session(), None, 10)
    await first.ask_approval(question(), CAP)
    await first.rule_approval(ruling())
    await first.close()
    second = place.store()
    await second.open()
    try:
        standing = await second.standing_approval(BINDING, after(2))
        assert standing is not None
        assert await used(second, standing) is ReserveStatus.RESERVED
    finally:
        await second.close()


async def test_a_key_that_was_used_is_told_without_reserving(store: Store, opened: Session) -> None:
    """As a reservation would be answered; a new key is None."""
    keyed = Call(key="k").reservation()
    assert keyed.claim is not None
    assert await store.claimed(opened, keyed.claim) is None
    await store.reserve(keyed)
    told = await store.claimed(opened, keyed.claim)
    assert told is not None
    assert told.status is ReserveStatus.RUNNING
    other = await store.claimed(opened, replace(keyed.claim, request_sha256="0" * 64))
    assert other is not None
    assert other.status is ReserveStatus.MISMATCH
    assert await store.claimed(session("ses2"), keyed.claim) is None


async def test_the_global_scope_is_among_those_of_a_question(store: Store) -> None:
    """A kill of everything overtakes whatever was asked."""
    await store.ask_approval(question(), CAP)
    assert GLOBAL in question().scopes
    await store.append_kill(kill("ord1"))
    assert await state(store) is ApprovalState.EXPIRED


async def test_a_view_says_whether_to_look_for_approvals(store: Store, opened: Session) -> None:
    """As long as one that was asked for could be used; those of others do not count."""
    await store.ask_approval(question("apr2", binding=OTHERS["agent"]), CAP)
    assert not (await store.view(opened, LIMITS, NOW)).approvals
    await store.ask_approval(question(), CAP)
    assert (await store.view(opened, LIMITS, NOW)).approvals
    assert not (await store.view(opened, LIMITS, after(LIFETIME_S))).approvals
    await store.rule_approval(ruling())
    await used(store, question())
    assert not (await store.view(opened, LIMITS, NOW)).approvals
