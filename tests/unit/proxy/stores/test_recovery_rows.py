"""What a further attempt needs of an intent, there and back."""

from dataclasses import replace

from proxy.model.ledger import IntentState
from proxy.model.recovery import Lent
from proxy.model.session import Mode
from proxy.stores import rows
from proxy.stores.recovery_rows import intent_context, open_step_of
from tests.harness.ledger import NOW, Call, after

INTENT = replace(
    Call().intent,
    holder="pod/hld_1",
    timeout_s=0.5,
    roles=("dev", "ops"),
    mode=Mode.READ_ONLY,
    extras=b'{"task":{}}',
    meta=b'{"a":"b"}',
    continues="stp0",
)
TOLD = (3, "unknown", "detail", "dec", "git:abc", 5)
ROW = (9, *rows.intent_values(INTENT), *TOLD, INTENT.holder, intent_context(INTENT), "unknown")


def test_an_intent_comes_back_with_its_context() -> None:
    """Every field."""
    assert rows.step_of(ROW).intent == INTENT


def test_an_intent_of_an_older_detent_has_none() -> None:
    """Its row says nothing more; the defaults stand."""
    plain = Call().intent
    row = (9, *rows.intent_values(plain), *TOLD, "", "{}")
    assert rows.step_of(row).intent == plain


def test_what_is_usual_is_not_written_down() -> None:
    """Every reservation carries it."""
    assert intent_context(Call().intent) == '{"timeout_s":20.0,"mode":"read_write"}'


def test_an_open_step_comes_back() -> None:
    """How it was left and with which credential."""
    step = open_step_of((*ROW, "sending", rows.micros(after(1)), 2, "k1", "l", "jwt", 0, 1))
    assert (step.left_as, step.since, step.tries, step.key) == (
        IntentState.SENDING, after(1), 2, "k1",
    )  # fmt: skip
    assert step.lent == Lent("l", "jwt", rows.moment(0), ended=True)


def test_a_step_that_nobody_left_is_open_since_its_intent() -> None:
    """It has no credential either."""
    step = open_step_of((*ROW, "", None, 0, None, None, None, None, None))
    assert (step.left_as, step.since, step.lent) == (None, NOW, None)
