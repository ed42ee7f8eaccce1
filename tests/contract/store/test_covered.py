"""Open steps under a kill: presumed unknown, and taken while their credential lives."""

from dataclasses import replace

from proxy.model.kill import KillVerdict, Scope, ScopeKind
from proxy.model.ledger import IntentState
from proxy.model.recovery import Covered
from proxy.model.session import BudgetView, Session
from proxy.stores.base import Store
from tests.harness.ledger import Call, after, settled

STUCK, ABORTED = IntentState.STUCK, IntentState.ABORTED
UNKNOWN, DONE, FAILED = IntentState.UNKNOWN, IntentState.DONE, IntentState.FAILED
HELD, GIVEN_BACK, USED = BudgetView(100, held=5), BudgetView(100), BudgetView(100, used=5)
AGENT = Scope(ScopeKind.AGENT, "acme/loop")


def covered(*spared: str, by: str = "me", at: float = 10) -> Covered:
    """Return what a kill of the agent finds."""
    return Covered(7, (AGENT,), spared, by, after(at), after(at + 10))


async def test_open_steps_under_a_kill_are_presumed_unknown(store: Store, opened: Session) -> None:
    """Those with a credential that lives are taken, by one alone."""
    await store.reserve(Call("s1", risk=1, credential=True).reservation())
    await store.reserve(Call("s2", risk=1).reservation())
    await store.reserve(Call("s3", risk=1).reservation())
    await store.settle(settled("s3"))
    await store.record_kill_verdict(7, "s2", KillVerdict.DONE)
    (found,) = await store.take_covered(covered())
    assert found.id == "s1"
    assert found.row.state is IntentState.INTENT
    assert await store.take_covered(covered(by="other")) == ()
    assert await store.kill_verdicts(7) == {"s1": KillVerdict.UNKNOWN, "s2": KillVerdict.DONE}
    await store.end_credential("s1")
    assert await store.take_covered(covered(at=99)) == ()
    await store.record_kill_verdict(7, "s1", KillVerdict.DONE)
    assert (await store.kill_verdicts(7))["s1"] is KillVerdict.DONE


async def test_however_many_there_are_each_is_taken(store: Store, opened: Session) -> None:
    """The limit is of one look; what needs nothing does not stand in the way of what does."""
    for number in range(6):
        call = Call(f"s{number}", risk=1, credential=number > 2)
        await store.reserve(call.reservation())
    few = replace(covered(), limit=2)
    found = [step.id for _ in range(3) for step in await store.take_covered(few)]
    assert found == ["s3", "s4", "s5"]
    assert len(await store.kill_verdicts(7)) == 6


async def test_a_credential_is_left_until_it_is_dead(store: Store, opened: Session) -> None:
    """Also while somebody has taken its step."""
    await store.reserve(Call(credential=True).reservation())
    await store.take_covered(covered(by="other"))
    assert await store.has_covered(covered())
    await store.end_credential("stp1")
    assert not await store.has_covered(covered())


async def test_holders_that_obey_a_kill_speak_for_themselves(store: Store, opened: Session) -> None:
    """Neither are steps of others, nor those begun after it."""
    call = Call(credential=True).reservation()
    await store.reserve(replace(call, intent=replace(call.intent, holder="hld_1")))
    assert await store.take_covered(covered("hld_1")) == ()
    assert await store.take_covered(replace(covered(), epoch=0)) == ()
    other = Scope(ScopeKind.AGENT, "acme/other")
    assert await store.take_covered(replace(covered(), scopes=(other,))) == ()
    assert await store.kill_verdicts(7) == {}
    assert len(await store.take_covered(covered("hld_2"))) == 1
