"""The answer when the ledger itself cannot be written: nothing can be recorded, so nothing goes."""

from proxy.model.decision import Verdict
from proxy.model.ledger import Outcome
from proxy.model.reasons import REASONS, reason
from proxy.model.step import Answer, Step


def store_unavailable(step: Step, *, sent: bool = False) -> Answer:
    """Return the refusal; `sent` says that the call had left when the ledger failed."""
    given = reason("store-unavailable")
    return Answer(
        step_id=step.id,
        verdict=Verdict.DENY.value,
        reasons=(given, reason("outcome-unknown")) if sent else (given,),
        outcome=Outcome.UNKNOWN if sent else Outcome.DENIED,
        http=REASONS[given.id].http,
        epoch=step.epoch,
    )
