"""Reviews as people and machines read them."""

import json
from typing import Any

from proxy.pdp.review.compare import Difference, Review
from proxy.pdp.review.outcome import Change, Outcome
from proxy.pdp.review.report import Judged, call_of, examples, groups, to_markdown, verdicts

DENY = Outcome("deny", ("path-outside",), (), "null", 0, ())
ALLOW = Outcome("allow", ("role-allows",), ('{"type": "mask"}',), "null", 1, ("l",))


def difference(label: str, tool: str = "s/t", *changes: Change, **arguments: Any) -> Difference:
    """Return a call that is allowed now."""
    document = {
        "subject": {"tenant": "acme", "id": "a"},
        "resource": {"id": tool},
        "context": {"arguments": arguments},
    }
    found = changes or (Change.PERMISSION,)
    return Difference(label, found, DENY, ALLOW, ("path-outside",), document)


REVIEW = Review(
    "old", "new", 9,
    [difference("d1"), difference("d2", "s/u"), difference("d3", "s/u", Change.COST)],
    {"its line is broken": ["x", "y"]},
)  # fmt: skip


def test_changes_are_grouped_by_rule_agent_and_tool() -> None:
    """Those with most come first."""
    assert groups(REVIEW.differences, "tool") == {
        "s/u": {"new permission": 1, "cost": 1},
        "s/t": {"new permission": 1},
    }
    assert groups(REVIEW.differences, "agent") == {"acme/a": {"new permission": 2, "cost": 1}}
    assert groups(REVIEW.differences, "rule") == {"path-outside": {"new permission": 2, "cost": 1}}


def test_examples_are_a_few_of_every_kind() -> None:
    """Flips first, and not twenty of the same."""
    many = [difference(f"c{number}", "s/t", Change.COST) for number in range(9)]
    chosen = examples([*many, difference("flip")])
    assert [one.label for one in chosen] == ["flip", "c0", "c1", "c2"]


def test_machines_get_everything() -> None:
    """Each difference with its input and both answers."""
    document = json.loads(Judged(REVIEW, ("flips: 2",)).to_json())
    assert (document["good"], document["compared"], document["flips"]) == (False, 9, 2)
    assert document["counts"] == {"new permission": 2, "cost": 1}
    assert document["unreplayable"] == {"its line is broken": ["x", "y"]}
    first = document["differences"][0]
    assert (first["label"], first["tool"], first["before"]["verdict"]) == ("d1", "s/t", "deny")
    assert first["after"]["obligations"] == [{"type": "mask"}]


def test_a_long_call_is_cut() -> None:
    """A comment is read by people."""
    assert len(call_of(difference("d", text="x" * 999))) == 161
    assert call_of(Difference("d", (Change.COST,), DENY, DENY, (), {})) == "null"


def test_why_there_was_no_answer_is_told() -> None:
    """Beside the refusal it became."""
    note = Difference("d", (Change.REFUSAL,), ALLOW, DENY, (), {}, note="divide by zero")
    assert verdicts(note) == "allow [role-allows] → deny [path-outside] (divide by zero)"


def test_markdown_has_counts_groups_examples_and_what_is_missing() -> None:
    """And whether the budget is kept."""
    text = to_markdown(Judged(REVIEW, ("flips: 2, and at most 0 may be",)))
    assert text.startswith("### Policy review: over the budget\n")
    assert "| new permission | 2 |" in text
    assert "| `path-outside` | 2 new permission, 1 cost |" in text
    assert "| `d1` | `s/t` | `{}` |" in text
    assert "| its line is broken | 2 |" in text


def test_markdown_without_a_difference_is_short() -> None:
    """One line says it."""
    text = to_markdown(Judged(Review("a", "b", 7), ()))
    assert text == (
        "### Policy review: within the budget\n\n"
        "0 flips and 0 other changes in 7 decisions. From `a` to `b`.\n"
    )


def test_what_agents_sent_cannot_leave_its_cell() -> None:
    """No backtick ends the code, no bar the cell, no line break the row."""
    hostile = difference("d`|\n# x", "s/t", text="`|\n<img>")
    text = to_markdown(Judged(Review("a", "b", 1, [hostile]), ()))
    (row,) = (line for line in text.splitlines() if "img" in line)
    assert row.replace(r"\|", "").count("|") == 5
    assert row.count("`") == 8
    assert "\n# x" not in text
