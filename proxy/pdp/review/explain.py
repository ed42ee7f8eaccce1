"""Why a decision was made: which rules spoke, where they stand, and what they looked at."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proxy.pdp.lint.modules import Module, Name, Source
from proxy.pdp.review.batch import Evaluation
from proxy.pdp.review.looked_at import inputs_of, statements
from proxy.pdp.review.outcome import changes, outcome_of
from proxy.pdp.review.pointers import pointer
from proxy.pdp.review.record import DecisionRecord
from proxy.pdp.review.sides import Side, fitted

SHOWN_CHARS = 200

# Who decides on the tool alone sees nothing else (see main.rego).
NARROW = ("allow", "deny_tool")
WIDE = ("deny", "hold", "obligations")
WORDS = {
    "allow": "allows it",
    "deny_tool": "refuses the tool",
    "deny": "refuses it",
    "hold": "holds it for an approval",
    "obligations": "makes a condition",
}
_SPEAKING = {
    "deny": ("deny_tool", "deny"),
    "hold": ("hold", "obligations"),
    "allow": ("allow", "obligations"),
}
_MAIN = ("detent", "main")


@dataclass(frozen=True, slots=True)
class Looked:
    """A part of the input and its value as JSON text, cut; None when it was missing."""

    path: str
    value: str | None
    is_masked: bool = False


@dataclass(frozen=True, slots=True)
class Fired:
    """A rule that spoke: `said` is one of WORDS, `reason` its id and `message` its sentence.

    `places` are `file:line` of the statements that may have said it.
    """

    rule: str
    said: str
    reason: str
    message: str
    places: tuple[str, ...]
    looked_at: tuple[Looked, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """A decision in words. `note` says why it may not be the whole truth, empty when it is."""

    decision_id: str
    at: str
    tenant: str
    agent: str
    tool: str
    verdict: str
    revision: str
    fired: tuple[Fired, ...]
    note: str = ""


def explain(
    record: DecisionRecord, side: Side, source: Source, opa: Path, known: frozenset[str]
) -> Explanation:
    """Explain a record under the policies it was decided by.

    `source` are their modules, `known` the obligations a gateway can meet. Blocks. Raises
    PolicyInvalid when OPA cannot be run, ValueError when the answer of the record is none.
    """
    asked = fitted(record.input, side, None)
    recorded = outcome_of(record.answer)
    today, why = side.answer(opa, asked, known)
    note = _note(record, recorded.verdict, f"{today.verdict} {list(today.reasons)} {why}".strip())
    fired = _Speakers(side, source, opa, frozenset(record.masked)).fired(asked, recorded.verdict)
    return Explanation(
        decision_id=record.decision_id,
        at=record.at,
        tenant=record.tenant,
        agent=_id(record.input.get("subject")),
        tool=_id(record.input.get("resource")),
        verdict=recorded.verdict,
        revision=record.revision,
        fired=(*fired, *_of_main(record, fired)),
        note=note if changes(recorded, today) else "",
    )


def _id(part: Any) -> str:
    return str(part.get("id")) if isinstance(part, dict) else "?"


def _note(record: DecisionRecord, verdict: str, today: str) -> str:
    if not record.replayable:
        return "Its arguments were left out of the log: what rules looked at is not known."
    masked = " Part of it is masked." if record.masked else ""
    return f"The policies given here decide otherwise, not {verdict} but {today}.{masked}"


def _of_main(record: DecisionRecord, fired: tuple[Fired, ...]) -> Iterator[Fired]:
    """Yield the reasons that no rule gave: those of main.rego, and of the gateway."""
    told = {one.reason for one in fired}
    for why in record.answer["reasons"]:
        if why["id"] not in told:
            said, message = WORDS["deny"], str(why.get("message", ""))
            yield Fired("main", said, str(why["id"]), message, (), ())


@dataclass(frozen=True, slots=True)
class _Speakers:
    """Asks the sets of every rule by themselves."""

    side: Side
    source: Source
    opa: Path
    masked: frozenset[str]

    def fired(self, asked: dict[str, Any], verdict: str) -> tuple[Fired, ...]:
        """Return the rules that made this verdict, by name."""
        narrow = _narrowed(asked)
        said = [*self._said(asked, WIDE), *self._said(narrow, NARROW)]
        speaking = [one for one in said if one[1] in _SPEAKING.get(verdict, ())]
        return tuple(self._fired(asked, *one) for one in sorted(speaking, key=str))

    def _said(self, asked: dict[str, Any], sets: tuple[str, ...]) -> list[tuple[str, str, Any]]:
        value = (
            f"[[r, s, x] | some s in {json.dumps(sets)}; some r; some x in data.detent.rules[r][s]]"
        )
        (answer,) = Evaluation(self.opa, self.side.bundle.directory, value).answers([asked])
        return [tuple(one) for one in answer] if isinstance(answer, list) else []

    def _fired(self, asked: dict[str, Any], rule: str, name: str, what: dict[str, Any]) -> Fired:
        reason = str(what.get("id", what.get("type", "")))
        modules = [one for one in self.source.modules if one.rule_name == rule]
        found = [(one, statements(one, name, reason)) for one in modules]
        return Fired(
            rule=rule,
            said=WORDS[name],
            reason=reason,
            message=str(what.get("message", json.dumps(what, sort_keys=True))),
            places=tuple(f"{one.file}:{each.line}" for one, rules in found for each in rules),
            looked_at=tuple(self._looked(asked, found)),
        )

    def _looked(
        self, asked: dict[str, Any], found: list[tuple[Module, tuple[Any, ...]]]
    ) -> Iterator[Looked]:
        for module, rules in found:
            for name in inputs_of(self.source, module, rules):
                yield self._value(asked, name)

    def _value(self, asked: Any, name: Name) -> Looked:
        for step in name[1:]:
            if not isinstance(asked, dict) or step not in asked:
                return Looked(_path(name), None)
            asked = asked[step]
        text = json.dumps(asked, sort_keys=True)
        at = pointer(tuple(str(step) for step in name[1:]))
        hidden = any(
            (one + "/").startswith(at + "/") or at.startswith(one + "/") for one in self.masked
        )
        return Looked(
            _path(name), text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]}…", hidden
        )


def _path(name: Name) -> str:
    return ".".join(str(step) for step in name[1:])


def _narrowed(asked: dict[str, Any]) -> dict[str, Any]:
    """Return what main.rego shows to the rules on a tool alone."""
    context = asked.get("context")
    session = context.get("session") if isinstance(context, dict) else None
    mode = {"mode": session["mode"]} if isinstance(session, dict) and "mode" in session else {}
    kept: dict[str, Any] = {name: asked[name] for name in ("subject", "resource") if name in asked}
    return {**kept, "context": {"session": mode}}
