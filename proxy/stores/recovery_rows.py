"""Rows of steps that recovery looks at, and what it writes, for every store."""

import json
from typing import Any

from proxy.model.ledger import Intent, IntentState
from proxy.model.recovery import Lent, OpenStep
from proxy.stores.rows import Row, moment, step_of

_compact = json.JSONEncoder(separators=(",", ":")).encode

RESOLVED = (IntentState.DONE, IntentState.FAILED, IntentState.ABORTED, IntentState.STUCK)


def intent_context(intent: Intent) -> str:
    """Return as JSON what a further attempt needs of an intent besides its columns."""
    told: dict[str, Any] = {"timeout_s": intent.timeout_s, "mode": intent.mode}
    told |= {"roles": intent.roles} if intent.roles else {}
    told |= {"continues": intent.continues} if intent.continues else {}
    texts = {"extras": intent.extras, "meta": intent.meta}
    return _compact(told | {name: text.decode() for name, text in texts.items() if text != b"{}"})


def open_step_of(row: Row) -> OpenStep:
    """Return the step of a row of `open_rows`."""
    left_as, settled_us, tries, key, lease_id, broker, expires_us, ended = row[22:30]
    step = step_of(row)
    return OpenStep(
        row=step,
        left_as=IntentState(left_as) if left_as else None,
        since=step.intent.at if settled_us is None else moment(settled_us),
        tries=tries,
        key=key,
        lent=Lent(lease_id, broker, moment(expires_us), bool(ended)) if lease_id else None,
    )
