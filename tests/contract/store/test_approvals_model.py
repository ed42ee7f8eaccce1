"""Any order of asking, deciding, using, killing, lifting and waiting against a small pure model."""

import asyncio
from dataclasses import dataclass, replace

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

from proxy.model.approval import Approval, ApprovalState, Binding, Ruling
from proxy.model.kill import GLOBAL, Scope, ScopeKind
from proxy.model.ledger import ReserveStatus
from proxy.stores.base import Store
from tests.harness.approving import BINDING, LIFETIME_S, OTHERS, question, reservation
from tests.harness.ledger import Call, after, kill, lift, session
from tests.harness.stores import Places

BINDINGS = (BINDING, OTHERS["arguments"], OTHERS["policy"])
SCOPES = (GLOBAL, Scope(ScopeKind.AGENT, "acme/loop"), Scope(ScopeKind.TENANT, "globex"))
CAP = 2


@dataclass
class Known:
    """An approval as the model knows it; `state` is what people made of it."""

    asked: Approval
    state: ApprovalState = ApprovalState.PENDING
    uses: int = 0


class Approvals(RuleBasedStateMachine):
    """The store beside the model; what they answer must agree."""

    places: Places

    @initialize()
    def begin(self) -> None:
        """Start empty, with one session."""
        self.runner = asyncio.Runner()
        self.store: Store = self.places.new().store()
        self.runner.run(self.store.open())
        day = session(expires_at=after(10**6))
        self.runner.run(self.store.open_session(day, None, 10))
        self.known: dict[str, Known] = {}
        self.now_s, self.epoch, self.floor, self.steps = 0.0, 0, 0, 0

    def teardown(self) -> None:
        """Close everything."""
        if hasattr(self, "store"):
            self.runner.run(self.store.close())
            self.runner.close()

    def live(self, one: Known) -> bool:
        """Whether its time is not over and nothing overtook it."""
        return one.asked.expires_at > after(self.now_s) and one.asked.epoch >= self.floor

    def stands(self, binding: Binding) -> Known | None:
        """Return the approval that stands for a binding."""
        found = (
            one
            for one in reversed(self.known.values())
            if one.asked.binding == binding and one.uses == 0 and self.live(one)
        )
        return next(found, None)

    @rule(binding=st.sampled_from(BINDINGS))
    def ask(self, binding: Binding) -> None:
        """A held call."""
        asked = question(f"apr{len(self.known)}", asked_at=after(self.now_s), epoch=self.epoch)
        asked = replace(asked, binding=binding)
        got = self.runner.run(self.store.ask_approval(asked, CAP))
        standing = self.stands(binding)
        pending = [one for one in self.known.values() if one.state is ApprovalState.PENDING]
        open_ones = [one for one in pending if self.live(one)]
        if standing is not None:
            assert got is not None
            assert got.id == standing.asked.id
        elif len(open_ones) >= CAP:
            assert got is None
        else:
            assert got == asked
            self.known[asked.id] = Known(asked)

    @precondition(lambda self: self.known)
    @rule(data=st.data(), yes=st.booleans())
    def decide(self, data: st.DataObject, yes: bool) -> None:
        """An operator, early or late, once or again."""
        one = self.known[data.draw(st.sampled_from(sorted(self.known)))]
        state = ApprovalState.APPROVED if yes else ApprovalState.DENIED
        ruled = Ruling(one.asked.id, state, "oncall", "", after(self.now_s))
        may = one.state is ApprovalState.PENDING and self.live(one)
        assert self.runner.run(self.store.rule_approval(ruled)) is may
        if may:
            one.state = state

    @precondition(lambda self: self.known)
    @rule(data=st.data(), stale=st.integers(0, 1))
    def use(self, data: st.DataObject, stale: int) -> None:
        """A call that brings any approval there ever was."""
        one = self.known[data.draw(st.sampled_from(sorted(self.known)))]
        self.steps += 1
        epoch = max(0, self.epoch - stale)
        call = Call(f"stp{self.steps}", risk=0, epoch=epoch, at=after(self.now_s))
        status = self.runner.run(self.store.reserve(reservation(one.asked, call))).status
        may = one.state is ApprovalState.APPROVED and one.uses == 0 and self.live(one)
        if epoch < self.floor:
            assert status is ReserveStatus.KILLED
        elif may:
            assert status is ReserveStatus.RESERVED
            one.uses += 1
        else:
            assert status is ReserveStatus.APPROVAL_SPENT

    @rule(scope=st.sampled_from(SCOPES))
    def kill_and_lift(self, scope: Scope) -> None:
        """An incident that is over again."""
        order = f"ord{self.epoch}"
        killed = self.runner.run(self.store.append_kill(kill(order, scope)))
        lifted = lift(f"{order}-lift", killed.epoch, scope)
        self.epoch = self.runner.run(self.store.append_kill(lifted)).epoch
        if scope.id != "globex":
            self.floor = self.epoch

    @rule(seconds=st.sampled_from([1.0, LIFETIME_S / 2, LIFETIME_S]))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.now_s += seconds

    @invariant()
    def none_is_used_twice_and_states_agree(self) -> None:
        """What the store says of each is what the model knows."""
        if not hasattr(self, "store"):
            return
        for one in self.known.values():
            found = self.runner.run(self.store.approval(one.asked.id, after(self.now_s)))
            assert found is not None
            assert one.uses <= 1
            ends = one.state in (ApprovalState.PENDING, ApprovalState.APPROVED)
            expected = ApprovalState.EXPIRED if ends and not self.live(one) else one.state
            assert found.state is (ApprovalState.USED if one.uses else expected)


@pytest.mark.parametrize(
    "examples",
    [20, pytest.param(200, marks=[pytest.mark.slow, pytest.mark.timeout(900)])],
    ids=["sample", "whole"],
)
def test_the_store_and_the_model_agree(places: Places, examples: int) -> None:
    """In every order hypothesis finds."""
    machine = type("Machine", (Approvals,), {"places": places})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
