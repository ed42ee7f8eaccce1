"""One line of the decision log: what was asked, what was answered, under which policies."""

import json
from dataclasses import dataclass
from typing import Any

import jiter

from proxy.model.decision import Decision

MEMBERS = frozenset(
    {"decision_id", "at", "tenant", "entry", "input", "answer", "revision", "masked", "replayable"}
)

_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)


@dataclass(frozen=True, slots=True)
class DecisionRecord:
    """A decision as it was made.

    `at` is RFC 3339 in UTC. `input` is without the tool's manifest, which stands in the bundle of
    that `revision`, and without what was masked; `masked` are the pointers of what was (RFC 6901).
    `answer` has the members of a decision. What is not `replayable` has lost its arguments.
    """

    decision_id: str
    at: str
    tenant: str
    entry: str
    input: dict[str, Any]
    answer: dict[str, Any]
    revision: str
    masked: tuple[str, ...] = ()
    replayable: bool = True

    def to_line(self) -> bytes:
        """Return one JSON object and a line feed."""
        document = {name: getattr(self, name) for name in self.__slots__}
        return _ENCODER.encode(document).encode("utf-8", "backslashreplace") + b"\n"


def answer_of(decision: Decision) -> dict[str, Any]:
    """Return a decision in the form in which policies give it (CONTRACTS section 4)."""
    grant = decision.grant
    return {
        "verdict": decision.verdict.value,
        "reasons": [{"id": why.id, "message": why.message} for why in decision.reasons],
        "obligations": [{"type": duty.type, **duty.fields} for duty in decision.obligations],
        "grant": grant
        and {
            "broker": grant.broker,
            "audience": grant.audience,
            "scope": list(grant.scope),
            "ttl": grant.ttl_s,
        },
        "cost": {"risk": decision.risk},
        "labels": list(decision.labels),
    }


def parse_record(line: bytes) -> DecisionRecord:
    """Read a line. Raises ValueError when it is not one that `to_line` wrote."""
    document = _read(line)
    if not isinstance(document, dict) or document.keys() != MEMBERS:
        raise ValueError(f"not a record: not exactly the members {sorted(MEMBERS)}")
    texts = (document[name] for name in ("decision_id", "at", "tenant", "entry", "revision"))
    objects = (document[name] for name in ("input", "answer"))
    if not (
        all(isinstance(text, str) for text in texts)
        and all(isinstance(one, dict) for one in objects)
        and isinstance(document["masked"], list)
        and isinstance(document["replayable"], bool)
    ):
        raise ValueError("not a record: a member of another type")
    return DecisionRecord(**{**document, "masked": tuple(map(str, document["masked"]))})


def _read(line: bytes) -> Any:
    try:
        return jiter.from_json(line, allow_inf_nan=False)
    except ValueError:
        return _with_surrogates(line)


def _with_surrogates(line: bytes) -> Any:
    """Read half a surrogate pair, which only this parser does; nothing deeper than is written."""
    try:
        document = json.loads(line)
        _ENCODER.encode(document)
    except RecursionError:
        raise ValueError("not a record: too deep") from None
    return document
