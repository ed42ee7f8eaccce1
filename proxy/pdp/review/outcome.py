"""What two decisions are compared by, and in how many ways they may differ."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

_ENCODER = json.JSONEncoder(sort_keys=True, ensure_ascii=False)
_BOUNDS = {"scope": None, "ttl": None}
ATTENDED = "human_attended"
_STRICTNESS = {"allow": 0, "hold": 1, "deny": 2}


class Change(StrEnum):
    """How a decision differs. Those of FLIPS change what an agent may do, now or later."""

    PERMISSION = "new permission"
    EASED = "hold instead of refusal"
    LIFTED = "obligation lifted"
    ATTENDED = "approval by its user"
    WIDENED = "wider grant"
    UNLABELLED = "label lost"
    CHEAPER = "lower cost"
    HOLD = "new hold"
    REFUSAL = "new refusal"
    OBLIGATIONS = "obligations"
    GRANT = "grant"
    COST = "cost"
    LABELS = "labels"
    REASONS = "reasons"


LOOSENED = (
    Change.PERMISSION,
    Change.EASED,
    Change.LIFTED,
    Change.ATTENDED,
    Change.WIDENED,
    Change.UNLABELLED,
    Change.CHEAPER,
)
FLIPS = (*LOOSENED, Change.HOLD, Change.REFUSAL)


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
    except (LookupError, TypeError, ArithmeticError, RecursionError) as error:
        raise ValueError(f"not an answer: {error}") from None


def changes(before: Outcome, after: Outcome) -> tuple[Change, ...]:
    """Return every way in which they differ, flips first.

    With another verdict the rest follows from it: only what is looser is told beside it.
    """
    looser = tuple(_looser(before, after)) if "deny" not in (before.verdict, after.verdict) else ()
    if before.verdict != after.verdict:
        return (_flip(before.verdict, after.verdict), *looser)
    differing = {
        Change.OBLIGATIONS: before.obligations != after.obligations,
        Change.GRANT: before.grant != after.grant,
        Change.COST: before.risk != after.risk,
        Change.LABELS: before.labels != after.labels,
        Change.REASONS: before.reasons != after.reasons,
    }
    return (*looser, *(change for change, is_so in differing.items() if is_so))


def _looser(before: Outcome, after: Outcome) -> Iterator[Change]:
    """Yield what lets an agent do more, now or later, of two answers that are no refusals."""
    duties = [{duty for duty in one.obligations if not _is_leave(duty)} for one in (before, after)]
    leave = [{duty for duty in one.obligations if _is_leave(duty)} for one in (before, after)]
    if not duties[0] <= duties[1]:
        yield Change.LIFTED
    if after.verdict == "hold" and not leave[1] <= leave[0]:
        yield Change.ATTENDED
    if _is_wider(json.loads(before.grant), json.loads(after.grant)):
        yield Change.WIDENED
    if not set(before.labels) <= set(after.labels):
        yield Change.UNLABELLED
    if after.risk < before.risk:
        yield Change.CHEAPER


def _is_leave(duty: str) -> bool:
    """Whether an obligation permits: who sits at the agent may then approve a held call."""
    return bool(json.loads(duty).get("type") == ATTENDED)


def _flip(before: str, after: str) -> Change:
    if after == "hold":
        return Change.HOLD if before == "allow" else Change.EASED
    return Change.PERMISSION if after == "allow" else Change.REFUSAL


def _is_wider(before: Any, after: Any) -> bool:
    """Whether a credential may do what the one before could not, or may do it for longer."""
    if after is None or before == after:
        return False
    if not isinstance(before, dict) or not isinstance(after, dict):
        return True
    is_other = _text({**before, **_BOUNDS}) != _text({**after, **_BOUNDS})
    scopes = [set(map(_text, _listed(one.get("scope", [])))) for one in (before, after)]
    return is_other or not scopes[1] <= scopes[0] or _ends(after) > _ends(before)


def _ends(grant: dict[str, Any]) -> float:
    """Return how long a credential is good for, in seconds; one without an end for ever."""
    ttl = grant.get("ttl")
    return ttl if isinstance(ttl, int | float) else float("inf")


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def rules(before: Outcome, after: Outcome) -> tuple[str, ...]:
    """Return the reason ids a change is about: those that came, or, when less is refused, went."""
    came = tuple(sorted(set(after.reasons) - set(before.reasons)))
    gone = tuple(sorted(set(before.reasons) - set(after.reasons)))
    is_looser = _STRICTNESS.get(after.verdict, 2) < _STRICTNESS.get(before.verdict, 2)
    first, second = (gone, came) if is_looser else (came, gone)
    return first or second or after.reasons


def _text(value: Any) -> str:
    return _ENCODER.encode(value)
