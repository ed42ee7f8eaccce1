"""What a decision is told of a session and its agent."""

import pytest

from proxy.model.decision import Verdict
from proxy.model.kill import GLOBAL, Scope, ScopeKind
from proxy.model.ledger import IntentState
from proxy.model.session import BudgetView, RecentStep, Session
from proxy.stores.base import Store
from tests.harness.ledger import LIMITS, NOW, WINDOW_S, Call, after, decision, session, settled

TOOL = "repo/git_commit"


async def test_a_new_session_has_everything_ahead(store: Store, opened: Session) -> None:
    """Step one, empty budgets, no labels, not locked."""
    view = await store.view(opened, LIMITS, NOW)
    assert view.session == opened
    assert (view.step, view.labels, view.locked, view.dry_run, view.recent) == (
        1, (), None, False, (),
    )  # fmt: skip
    assert view.budget == BudgetView(opened.risk_limit)
    assert view.agent_budget == BudgetView(LIMITS.agent_risk)


async def test_budgets_count_what_is_held_and_what_is_used(store: Store, opened: Session) -> None:
    """The session's limit is its own, the agent's comes from the limits; its sessions share."""
    other = await store.open_session(session("ses2", risk_limit=50), None, 10)
    await store.reserve(Call("stp1", opened, risk=7).reservation())
    await store.settle(settled("stp1"))
    await store.reserve(Call("stp2", other, risk=4).reservation())
    view = await store.view(other, LIMITS, after(1))
    assert view.budget == BudgetView(50, used=0, held=4)
    assert view.agent_budget == BudgetView(LIMITS.agent_risk, used=7, held=4)


async def test_the_agents_budget_rolls(store: Store, opened: Session) -> None:
    """Used points are gone one window (and one bucket) later, held ones stay, others do not."""
    await store.reserve(Call("stp1", opened, risk=7).reservation())
    await store.settle(settled("stp1"))
    await store.reserve(Call("stp2", opened, risk=3).reservation())
    inside = await store.view(opened, LIMITS, after(WINDOW_S - 1))
    assert inside.agent_budget == BudgetView(LIMITS.agent_risk, used=7, held=3)
    outside = await store.view(opened, LIMITS, after(WINDOW_S * 61 / 60 + 1))
    assert outside.agent_budget == BudgetView(LIMITS.agent_risk, used=0, held=3)
    assert outside.budget == BudgetView(opened.risk_limit, used=7, held=3)


async def test_labels_follow_the_agent_into_every_session(store: Store, opened: Session) -> None:
    """They come with intents and with outcomes, once each, sorted."""
    await store.reserve(Call("stp1", opened, labels=("b", "a")).reservation())
    await store.settle(settled("stp1", labels=("c", "a")))
    other = await store.open_session(session("ses2"), None, 10)
    stranger = await store.open_session(session("ses3", agent="other"), None, 10)
    assert (await store.view(other, LIMITS, NOW)).labels == ("a", "b", "c")
    assert (await store.view(stranger, LIMITS, NOW)).labels == ()


async def test_a_lock_shows_its_first_reason(store: Store, opened: Session) -> None:
    """A second lock does not hide why the agent was locked."""
    await store.lock_agent("acme", "loop", "canary", NOW)
    await store.lock_agent("acme", "loop", "again", NOW)
    assert (await store.view(opened, LIMITS, NOW)).locked == "canary"


@pytest.mark.parametrize(
    ("scope", "covers"),
    [
        (GLOBAL, True),
        (Scope(ScopeKind.TENANT, "acme"), True),
        (Scope(ScopeKind.AGENT, "acme/loop"), True),
        (Scope(ScopeKind.SESSION, "ses1"), True),
        (Scope(ScopeKind.TENANT, "other"), False),
        (Scope(ScopeKind.AGENT, "acme/other"), False),
        (Scope(ScopeKind.SESSION, "acme"), False),
    ],
)
async def test_a_toggle_covers_what_stands_under_it(
    store: Store, opened: Session, scope: Scope, covers: bool
) -> None:
    """Dry run of global, tenant, agent or session reaches this session; others' do not."""
    await store.set_dry_run(scope, on=True, actor="oncall", at=NOW)
    assert (await store.view(opened, LIMITS, NOW)).dry_run is covers


async def test_recent_steps_are_told_oldest_first(store: Store, opened: Session) -> None:
    """Open, done, and what reserved nothing: refused, held for approval, previewed."""
    await store.reserve(Call("stp1", opened).reservation())
    await store.settle(settled("stp1"))
    await store.reserve(Call("stp2", opened).reservation())
    for n, (verdict, dry_run) in enumerate(
        [(Verdict.DENY, False), (Verdict.HOLD, False), (Verdict.ALLOW, True), (Verdict.HOLD, True)]
    ):
        await store.record(decision(f"d{n}", verdict=verdict.value, dry_run=dry_run))
    recent = (await store.view(opened, LIMITS, NOW)).recent
    assert recent == (
        RecentStep(TOOL, "allow", "done"),
        RecentStep(TOOL, "allow", "intent"),
        RecentStep(TOOL, "deny", "denied"),
        RecentStep(TOOL, "hold", "pending_approval"),
        RecentStep(TOOL, "allow", "dry_run"),
        RecentStep(TOOL, "hold", "dry_run"),
    )


async def test_an_allow_that_reserved_nothing_sent_nothing(store: Store, opened: Session) -> None:
    """It was permitted; nothing says that it was done."""
    await store.record(decision("d1", step_id="stp9"))
    recent = (await store.view(opened, LIMITS, NOW)).recent
    assert recent == (RecentStep(TOOL, "allow", "permitted"),)


async def test_ten_recent_steps_are_told(store: Store, opened: Session) -> None:
    """The last ten of this session; the number of the next step goes on."""
    await store.open_session(session("ses2"), None, 10)
    for n in range(12):
        await store.reserve(Call(f"stp{n}", opened, risk=0).reservation())
        await store.settle(settled(f"stp{n}", IntentState.FAILED if n == 2 else IntentState.DONE))
        await store.record(decision(f"other{n}", session=session("ses2")))
    view = await store.view(opened, LIMITS, NOW)
    assert view.step == 13
    assert [step.outcome for step in view.recent] == ["failed", *["done"] * 9]
