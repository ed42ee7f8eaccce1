"""A review for people and machines: groups by rule, agent and tool, and examples of each."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

from proxy.pdp.review.compare import Difference, Review
from proxy.pdp.review.outcome import Change

EXAMPLES = 20
EXAMPLES_OF_A_KIND = 3
SHOWN_CHARS = 160
SHOWN_LABELS = 5
SHOWN_GROUPS = 50

GROUPS: dict[str, Callable[[Difference], tuple[str, ...]]] = {
    "rule": lambda one: one.rules,
    "agent": lambda one: (one.agent,),
    "tool": lambda one: (one.tool,),
}


@dataclass(frozen=True, slots=True)
class Judged:
    """A review and the lines of its budget that are passed."""

    review: Review
    exceeded: tuple[str, ...]

    def headline(self) -> str:
        """Return what came of it in one sentence."""
        review = self.review
        missing = sum(map(len, review.unreplayable.values()))
        flips, others = len(review.flips), len(review.differences) - len(review.flips)
        told = f"{flips} flips and {others} other changes in {review.compared} decisions"
        told += f", {review.masked} of them with masked values" if review.masked else ""
        told += f"; {len(review.settings)} manifests and limits differ" if review.settings else ""
        return f"{told}; {missing} could not be asked again" if missing else told

    def to_json(self) -> str:
        """Return everything, every difference included."""
        review = self.review
        document = {
            "before": review.before,
            "after": review.after,
            "good": not self.exceeded,
            "exceeded": list(self.exceeded),
            "compared": review.compared,
            "masked": review.masked,
            "flips": len(review.flips),
            "counts": counts(review),
            "groups": {name: groups(review.differences, name) for name in GROUPS},
            "settings": [asdict(one) for one in review.settings],
            "unreplayable": review.unreplayable,
            "differences": [_document(one) for one in review.differences],
        }
        return json.dumps(document, ensure_ascii=False)


def counts(review: Review) -> dict[str, int]:
    """Return how many decisions changed in each way, those that none did left out."""
    return {str(change): count for change in Change if (count := review.count(change))}


def groups(differences: Iterable[Difference], by: str) -> dict[str, dict[str, int]]:
    """Return the changes of each rule, agent or tool, those with most first."""
    found: dict[str, Counter[str]] = {}
    for one in differences:
        for name in GROUPS[by](one):
            found.setdefault(name, Counter()).update(str(change) for change in one.changes)
    ordered = sorted(found.items(), key=lambda item: (-item[1].total(), item[0]))
    return {name: dict(counter) for name, counter in ordered}


def examples(differences: Sequence[Difference]) -> list[Difference]:
    """Return a few of every kind: by change, rule and tool, flips first."""
    seen: Counter[tuple[Any, ...]] = Counter()
    chosen = []
    for one in sorted(differences, key=lambda one: not one.is_flip):
        kind = (one.changes, one.rules, one.tool)
        seen[kind] += 1
        if seen[kind] <= EXAMPLES_OF_A_KIND:
            chosen.append(one)
    return chosen[:EXAMPLES]


def call_of(one: Difference) -> str:
    """Return the arguments of a call as JSON text, cut to SHOWN_CHARS."""
    context = one.input.get("context")
    arguments = context.get("arguments") if isinstance(context, dict) else None
    text = json.dumps(arguments, ensure_ascii=True, sort_keys=True)
    return text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]}…"


def verdicts(one: Difference) -> str:
    """Return what was decided before and what now, with the reasons."""
    return f"{_told(one.before)} → {_told(one.after)}{f' ({one.note})' if one.note else ''}"


def _told(outcome: Any) -> str:
    return f"{outcome.verdict} [{', '.join(outcome.reasons)}]"


def _document(one: Difference) -> dict[str, Any]:
    return {
        "label": one.label,
        "changes": [str(change) for change in one.changes],
        "rules": list(one.rules),
        "agent": one.agent,
        "tool": one.tool,
        "masked": one.is_masked,
        "note": one.note,
        "before": one.before.to_document(),
        "after": one.after.to_document(),
        "input": one.input,
    }


def to_markdown(judged: Judged) -> str:
    """Return a comment for a pull request. What agents sent stands in code spans only."""
    review = judged.review
    lines = [
        f"### Policy review: {'within the budget' if not judged.exceeded else 'over the budget'}",
        "",
        f"{judged.headline()}. From {_code(review.before)} to {_code(review.after)}.",
        *(f"- **over the budget**: {line}" for line in judged.exceeded),
    ]
    if review.differences:
        lines += _table(("change", "decisions"), counts(review).items())
    for name in GROUPS if review.differences else ():
        lines += _table((f"by {name}", "changes"), _group_rows(review, name))
    if shown := examples(review.differences):
        cells = ((one.label, one.tool, call_of(one), verdicts(one)) for one in shown)
        rows = (tuple(map(_code, row)) for row in cells)
        lines += _table(("decision", "tool", "arguments", "before → now"), rows)
    if review.settings:
        rows = ((_code(one.what), _code(one.told)) for one in review.settings[:SHOWN_GROUPS])
        lines += _table(("manifests and limits", "now"), rows)
    if review.unreplayable:
        missing = ((why, len(labels)) for why, labels in review.unreplayable.items())
        lines += _table(("not asked again, because", "decisions"), missing)
    return "\n".join(lines) + "\n"


def _group_rows(review: Review, by: str) -> Iterator[tuple[str, str]]:
    for name, found in islice(groups(review.differences, by).items(), SHOWN_GROUPS):
        yield _code(name), ", ".join(f"{count} {change}" for change, count in found.items())


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[str]:
    body = [f"| {' | '.join(map(str, row))} |" for row in rows]
    return ["", f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *body]


def _code(text: str) -> str:
    """Return a code span that no text can end and no table can split (GFM, section 6.1)."""
    plain = "".join(char if char.isprintable() else "�" for char in text)
    plain = plain.replace("`", "'").replace("|", r"\|")
    return f"`{plain}`" if plain else ""
