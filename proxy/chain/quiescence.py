"""When a step is quiet: nothing of it can happen any more that has not happened.

Its owner may start nothing, its credential is dead, and its tool's time limit has passed since the
last moment at which it can have been sent: the one at which it became unknown.
"""

from datetime import datetime, timedelta

from proxy.model.ledger import IntentState
from proxy.model.recovery import OpenStep
from proxy.model.tool import Recovery

BOUND_S = 30.0  # R: by then a step is settled or stuck, unless it is quiet later than that
LAST_TRIES_S = 10.0  # after it is quiet
LEAST_TRIES = 3  # however long nobody was there to try


def quiet_at(step: OpenStep) -> datetime:
    """Return when the step is quiet."""
    over = step.since + timedelta(seconds=step.row.intent.timeout_s)
    if step.lent is None or step.lent.ended:
        return over
    return max(over, step.lent.expires_at)


def stuck_at(step: OpenStep) -> datetime:
    """Return when recovery gives up, once it has tried LEAST_TRIES times."""
    return max(
        step.since + timedelta(seconds=BOUND_S), quiet_at(step) + timedelta(seconds=LAST_TRIES_S)
    )


def was_never_sent(step: OpenStep) -> bool:
    """Whether its state proves that nothing was sent.

    Only that of an opaque tool does: `sending` is durable before its first byte. Whoever still
    wanted to send finds the step no longer open.
    """
    return step.left_as is IntentState.INTENT and step.row.intent.recovery is Recovery.OPAQUE
