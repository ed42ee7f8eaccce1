from dataclasses import replace

import pytest

from proxy.chain.quiescence import quiet_at, stuck_at, was_never_sent
from proxy.model.ledger import IntentState, StepRow
from proxy.model.recovery import Lent, OpenStep
from proxy.model.tool import Recovery
from tests.harness.ledger import Call, after


def open_step(
    timeout_s: float = 20.0,
    lent: Lent | None = None,
    recovery: Recovery = Recovery.OPAQUE,
    left_as: IntentState | None = IntentState.INTENT,
) -> OpenStep:
    """Return a step that became unknown ten seconds after NOW."""
    intent = replace(Call().intent, timeout_s=timeout_s, recovery=recovery)
    row = StepRow(intent, 1, IntentState.UNKNOWN, "", "dec", "git:abc", 5)
    return OpenStep(row, left_as, after(10), lent=lent)


@pytest.mark.parametrize(
    ("timeout_s", "lent", "quiet_s", "stuck_s"),
    [
        (5.0, None, 15, 40),
        (20.0, None, 30, 40),
        (60.0, None, 70, 80),
        (5.0, Lent("l", "b", after(12), ended=False), 15, 40),
        (5.0, Lent("l", "b", after(50), ended=False), 50, 60),
        (5.0, Lent("l", "b", after(50), ended=True), 15, 40),
    ],
)
def test_a_step_is_quiet_when_nothing_of_it_can_happen_any_more(
    timeout_s: float, lent: Lent | None, quiet_s: float, stuck_s: float
) -> None:
    """Its time limit is over and its credential dead; tries end 30 s later, or 10 after that."""
    step = open_step(timeout_s, lent)
    assert (quiet_at(step), stuck_at(step)) == (after(quiet_s), after(stuck_s))


@pytest.mark.parametrize("left_as", [None, *IntentState])
@pytest.mark.parametrize("recovery", list(Recovery))
def test_only_an_opaque_intent_was_never_sent_for_certain(
    recovery: Recovery, left_as: IntentState | None
) -> None:
    """No other class writes down that it begins to send."""
    proves = recovery is Recovery.OPAQUE and left_as is IntentState.INTENT
    assert was_never_sent(open_step(recovery=recovery, left_as=left_as)) is proves
