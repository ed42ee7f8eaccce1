import copy
from typing import Any

import pytest

from proxy.pdp.review.around import around, changed
from proxy.pdp.review.edges import MISSING

INPUT: dict[str, Any] = {
    "subject": {"type": "agent", "id": "suite", "roles": ["reader"], "delegation_depth": 0},
    "action": {"name": "tools/call", "effect": "read", "dry_run": False},
    "resource": {
        "type": "tool",
        "id": "repo/git_log",
        "server": "repo",
        "tool": "git_log",
        "manifest": {"effect": "read", "risk": 5},
    },
    "context": {
        "arguments": {"repo_path": "/srv/scratch"},
        "meta": {},
        "urls": [],
        "flags": [],
        "session": {
            "mode": "read_write",
            "labels": [],
            "budget": {"risk": {"limit": 100, "used": 0, "held": 0}},
            "agent_budget": {"risk": {"limit": 100, "used": 0, "held": 0}},
            "recent": [],
        },
        "approvals": [],
    },
}


def at(document: Any, path: str) -> Any:
    """Return the value at a path, MISSING when there is none."""
    for step in path.split("."):
        if not isinstance(document, dict) or step not in document:
            return MISSING
        document = document[step]
    return document


@pytest.mark.parametrize(
    ("path", "values"),
    [
        ("subject.roles", [["reader"], ["maintainer"], [], ["READER"], "reader"]),
        ("subject.delegation_depth", [2, 3]),
        ("context.session.mode", ["read_only", "dry_run", "read_write", None]),
        ("context.session.labels", [[], ["untrusted_content"], None]),
        ("context.flags", [["bidi"], None]),
        ("context.session.budget.risk", [{"limit": 5, "used": 0, "held": 0}]),
        ("context.session.agent_budget.risk", [{"limit": 5, "used": 1, "held": 0}]),
        ("resource.id", ["repo/GIT_LOG", "repo/git_logs"]),
        ("action.effect", ["write", "irreversible", "delete"]),
    ],
)
def test_each_part_of_an_input_goes_to_its_edges_and_is_taken_away(
    path: str, values: list[Any]
) -> None:
    """One change at a time."""
    found = [at(document, path) for _, document in around(INPUT, ["maintainer", "reader"])]
    assert [value for value in values if value not in found] == []
    assert MISSING in found or path == "resource.id"


def test_the_input_itself_is_left_alone() -> None:
    """Every change is a copy, and has a name of its own."""
    before = copy.deepcopy(INPUT)
    names = [name for name, _ in around(INPUT, ["maintainer"])]
    assert before == INPUT
    assert len(set(names)) == len(names)


def test_a_tool_without_letters_that_have_a_twin_has_none() -> None:
    """Its own name would be another name for itself."""
    named = changed(INPUT, ("resource", "tool"), "777")
    names = [name for name, _ in around(named, [])]
    assert "Unicode twin of the tool" not in names
    assert "tool one character longer" in names


def test_without_a_role_a_manifest_or_a_key_there_is_still_something_to_change() -> None:
    """A suite may leave them out."""
    bare = changed(changed(INPUT, ("subject", "roles"), []), ("resource", "manifest"), None)
    names = dict(around(bare, []))
    assert at(names["budget: just enough"], "context.session.budget.risk.limit") == 1
    assert changed(bare, ("subject", "nothing"), MISSING) == bare
