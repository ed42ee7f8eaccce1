"""What two decisions are compared by, and in how many ways they may differ."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

_ENCODER = json.JSONEncoder(sort_keys=True, ensure_ascii=False)
_STRICTNESS = {"allow": 0, "hold": 1, "deny": 2}


class Change(StrEnum):
    """How a decision differs. The first four are flips; the rest leave the call as it was."""

    PERMISSION = "new permission"
    HOLD = "new hold"
    REFUSAL = "new refusal"
    LIFTED = "obligation lifted"
    OBLIGATIONS = "obligations"
    GRANT = "grant"
    COST = "cost"
    LABELS = "labels"
    REASONS = "reasons"


FLIPS = (Change.PERMISSION, Change.HOLD, Change.REFUSAL, Change.LIFTED)


@dataclass(frozen=True, slots=True)
class Outcome:
    """A decision without its id. `obligations` and `grant` are JSON texts, sorted by key."""

    verdict: str
    reasons: tuple[str, ...]
    obligations: tuple[str, ...]
    grant: str
    risk: int
    labels: tuple[str, ...]

    def to_document(self) -> dict[str, Any]:
        """Return it for machines."""
        return {
            "verdict": self.verdict,
            "reasons": list(self.reasons),
            "obligations": [json.loads(duty) for duty in self.obligations],
            "grant": json.loads(self.grant),
            "cost": {"risk": self.risk},
            "labels": list(self.labels),
        }


def outcome_of(answer: Mapping[str, Any]) -> Outcome:
    """Read what `answer_of` wrote. Raises ValueError when a member is missing or of another type.

    Reasons are their ids: another sentence is no other decision.
    """
    try:
        return Outcome(
            verdict=str(answer["verdict"]),
            reasons=tuple(sorted(str(why["id"]) for why in answer["reasons"])),
            obligations=tuple(sorted(_text(duty) for duty in answer["obligations"])),
            grant=_text(answer["grant"]),
            risk=int(answer["cost"]["risk"]),
            labels=tuple(sorted(map(str, answer["labels"]))),
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"not an answer: {error}") from None


def changes(before: Outcome, after: Outcome) -> tuple[Change, ...]:
    """Return every way in which they differ, flips first.

    With another verdict the rest follows from it, and is not told beside it.
    """
    if before.verdict != after.verdict:
        flip = {0: Change.PERMISSION, 1: Change.HOLD}
        return (flip.get(_STRICTNESS.get(after.verdict, 2), Change.REFUSAL),)
    gone = set(before.obligations) - set(after.obligations)
    differing = {
        Change.LIFTED: bool(gone) and after.verdict != "deny",
        Change.OBLIGATIONS: before.obligations != after.obligations,
        Change.GRANT: before.grant != after.grant,
        Change.COST: before.risk != after.risk,
        Change.LABELS: before.labels != after.labels,
        Change.REASONS: before.reasons != after.reasons,
    }
    return tuple(change for change, is_so in differing.items() if is_so)


def rules(before: Outcome, after: Outcome) -> tuple[str, ...]:
    """Return the reason ids a change is about: those that came, or, when less is refused, went."""
    came = tuple(sorted(set(after.reasons) - set(before.reasons)))
    gone = tuple(sorted(set(before.reasons) - set(after.reasons)))
    is_looser = _STRICTNESS.get(after.verdict, 2) < _STRICTNESS.get(before.verdict, 2)
    first, second = (gone, came) if is_looser else (came, gone)
    return first or second or after.reasons


def _text(value: Any) -> str:
    return _ENCODER.encode(value)
