from proxy.model.ledger import IntentState, StepRow
from proxy.model.recovery import OpenStep
from tests.harness.ledger import NOW, Call


def test_an_open_step_is_called_as_its_intent_is() -> None:
    """One id in the ledger, at the tool and in the log."""
    row = StepRow(Call("stp9").intent, 1, IntentState.UNKNOWN, "", "dec", "git:abc", 5)
    assert OpenStep(row, None, NOW).id == "stp9"
