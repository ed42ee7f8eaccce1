"""Any order of reserve, settle, kill, lift and crash against a small pure model."""

import asyncio
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from proxy.model.kill import GLOBAL, KillEntry, KillOrder, KillState, Scope, ScopeKind, scopes_of
from proxy.model.ledger import IntentState, ReserveStatus
from proxy.model.session import BudgetView, Session
from proxy.stores.base import Store
from tests.harness.ledger import LIMITS, NOW, Call, kill, lift, session, settled
from tests.harness.stores import Place, Places

AGENT_LIMIT = 40
SESSIONS = (session("ses1", risk_limit=25), session("ses2", risk_limit=30))
SCOPES = (
    GLOBAL,
    Scope(ScopeKind.AGENT, "acme/loop"),
    Scope(ScopeKind.SESSION, "ses1"),
    Scope(ScopeKind.TOOL, "repo/git_commit"),
    Scope(ScopeKind.TENANT, "other"),
)
OUTCOMES = (IntentState.DONE, IntentState.FAILED, IntentState.UNKNOWN)
OPEN = (IntentState.INTENT, IntentState.SENDING)


@dataclass
class ModelStep:
    """A step as the model knows it."""

    call: Call
    state: IntentState = IntentState.INTENT
    answer: bytes | None = None


class Ledger(RuleBasedStateMachine):
    """The store beside the model; what they answer must agree."""

    places: Places

    @initialize()
    def begin(self) -> None:
        """Start empty, with two sessions of one agent."""
        self.place: Place = self.places.new()
        self.runner = asyncio.Runner()
        self.steps: dict[str, ModelStep] = {}
        self.kills: list[KillEntry] = []
        self.open_store()
        for one in SESSIONS:
            self.runner.run(self.store.open_session(one, None, 10))

    def open_store(self) -> None:
        """Open the store where it lies."""
        self.store: Store = self.place.store()
        self.runner.run(self.store.open())

    def teardown(self) -> None:
        """Close everything."""
        if hasattr(self, "store"):
            self.runner.run(self.store.close())
            self.runner.close()

    def budget(self, owner: Session | None) -> tuple[int, int]:
        """Return (used, held) of a session, or of the agent."""
        mine = [one for one in self.steps.values() if owner in (None, one.call.session)]
        used = sum(one.call.risk for one in mine if one.state is IntentState.DONE)
        waiting = (*OPEN, IntentState.UNKNOWN)
        return used, sum(one.call.risk for one in mine if one.state in waiting)

    def expected(self, call: Call) -> ReserveStatus:
        """Return how the model ends a reservation."""
        for earlier in self.steps.values():
            if call.key and (earlier.call.key, earlier.call.session) == (call.key, call.session):
                return replayed(earlier, call)
        killed = KillState.fold(self.kills)
        scopes = scopes_of("acme", "loop", call.session.id, "repo/git_commit")
        if killed.covering(scopes) or killed.floor(scopes) > call.epoch:
            return ReserveStatus.KILLED
        room = call.session.risk_limit - sum(self.budget(call.session))
        if call.risk > min(room, AGENT_LIMIT - sum(self.budget(None))):
            return ReserveStatus.BUDGET_EXHAUSTED
        return ReserveStatus.RESERVED

    @rule(
        owner=st.sampled_from(SESSIONS),
        risk=st.integers(0, 12),
        key=st.sampled_from([None, None, "k1", "k2"]),
        body=st.sampled_from([b"{}", b"{}", b'{"a":1}']),
        stale=st.integers(0, 2),
    )
    def reserve(self, owner: Session, risk: int, key: str | None, body: bytes, stale: int) -> None:
        """A call, sometimes decided some epochs ago, sometimes with a key."""
        name = f"stp{len(self.steps)}"
        epoch = max(0, len(self.kills) - stale)
        call = Call(name, owner, risk, epoch, key, body, agent_limit=AGENT_LIMIT)
        expected = self.expected(call)
        reserved = self.runner.run(self.store.reserve(call.reservation()))
        assert reserved.status is expected
        if expected is ReserveStatus.RESERVED:
            self.steps[name] = ModelStep(call)
        elif expected is ReserveStatus.REPLAY:
            answers = {one.answer for one in self.steps.values() if one.call.key == key}
            assert reserved.answer in answers

    @precondition(lambda self: self.steps)
    @rule(data=st.data(), state=st.sampled_from(OUTCOMES), answered=st.booleans())
    def settle(self, data: st.DataObject, state: IntentState, answered: bool) -> None:
        """An outcome for any step there is, settled before or not."""
        name = data.draw(st.sampled_from(sorted(self.steps)))
        step = self.steps[name]
        answer = name.encode() if answered else None
        self.runner.run(self.store.settle(settled(name, state, answer=answer)))
        if step.state in (*OPEN, IntentState.UNKNOWN) and step.state is not state:
            step.state = state
            step.answer = (answer or step.answer) if step.call.key else None

    @rule(scope=st.sampled_from(SCOPES))
    def kill(self, scope: Scope) -> None:
        """A kill."""
        self.append(kill(f"ord{len(self.kills)}", scope))

    @precondition(lambda self: self.kills)
    @rule(data=st.data())
    def lift(self, data: st.DataObject) -> None:
        """A lift of any entry, lifted before or not, kill or not."""
        entry = data.draw(st.sampled_from(self.kills))
        self.append(lift(f"ord{len(self.kills)}", entry.epoch, *entry.order.scopes))

    def append(self, order: KillOrder) -> None:
        """Send an order twice; it counts once."""
        entry = self.runner.run(self.store.append_kill(order))
        assert self.runner.run(self.store.append_kill(order)) == entry
        assert entry == KillEntry(len(self.kills) + 1, order)
        self.kills.append(entry)

    @rule()
    def crash(self) -> None:
        """Stop without settling and start again: what was open is unknown."""
        self.runner.run(self.store.close())
        self.open_store()
        found = self.runner.run(self.store.open_intents_to_unknown(NOW))
        left = [name for name, step in self.steps.items() if step.state in OPEN]
        assert [row.intent.step_id for row in found] == left
        for name in left:
            self.steps[name].state = IntentState.UNKNOWN

    @invariant()
    def budgets_agree_and_hold(self) -> None:
        """Used and held are the model's, and never beyond the limit."""
        if not hasattr(self, "store"):
            return
        agents = BudgetView(AGENT_LIMIT, *self.budget(None))
        assert agents.left >= 0
        for one in SESSIONS:
            view = self.runner.run(self.store.view(one, LIMITS, NOW))
            assert view.budget == BudgetView(one.risk_limit, *self.budget(one))
            assert view.budget.left >= 0
            assert (view.agent_budget.used, view.agent_budget.held) == (agents.used, agents.held)

    @invariant()
    def steps_and_kills_agree(self) -> None:
        """States and log are the model's."""
        if hasattr(self, "store"):
            rows = self.runner.run(self.store.steps(None, (), 1000))
            states = {row.intent.step_id: row.state for row in rows}
            assert states == {name: step.state for name, step in self.steps.items()}
            assert self.runner.run(self.store.kill_log()) == tuple(self.kills)


def replayed(earlier: ModelStep, call: Call) -> ReserveStatus:
    """Return how a key that was used before is answered."""
    if earlier.call.body != call.body:
        return ReserveStatus.MISMATCH
    final = earlier.state in (IntentState.DONE, IntentState.FAILED)
    told = earlier.state is IntentState.UNKNOWN and earlier.answer is not None
    return ReserveStatus.REPLAY if final or told else ReserveStatus.RUNNING


@pytest.mark.parametrize(
    "examples",
    [20, pytest.param(200, marks=[pytest.mark.slow, pytest.mark.timeout(900)])],
    ids=["sample", "whole"],
)
def test_the_store_and_the_model_agree(places: Places, examples: int) -> None:
    """In every order hypothesis finds."""
    machine = type("Machine", (Ledger,), {"places": places})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
