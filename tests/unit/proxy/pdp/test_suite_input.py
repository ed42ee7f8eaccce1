"""The policy input a suite's case becomes."""

from types import MappingProxyType
from typing import Any

import pytest

from proxy.errors import PolicyInvalid
from proxy.model.ledger import Limits
from proxy.model.tool import Effect, ToolManifest
from proxy.pdp.manifests import Catalogue
from proxy.pdp.suite_input import decision_input, visible_input

MANIFEST = {"effect": "write", "risk": 5}
CATALOGUE = Catalogue(
    tools={
        ("repo", "git_commit"): ToolManifest(
            "repo", "git_commit", Effect.WRITE, document=dict(MANIFEST)
        )
    },
    default=Limits(1, 1, 1),
    agents={},
    reasons={},
    workspaces=MappingProxyType({"scratch": "/ws/a"}),
)
GIVEN: dict[str, Any] = {
    "name": "x",
    "role": "maintainer",
    "mode": "read_write",
    "tool": "repo/git_commit",
}


def given(**fields: Any) -> dict[str, Any]:
    """Return the decision input of a case with these fields."""
    return decision_input({**GIVEN, **fields}, CATALOGUE)


def test_a_case_is_a_whole_input() -> None:
    """Every member of CONTRACTS section 4 is there, and nothing spoils the call."""
    document = given()
    assert list(document) == ["subject", "action", "resource", "context"]
    assert document["subject"]["roles"] == ["maintainer"]
    assert document["action"] == {"name": "tools/call", "effect": "write", "dry_run": False}
    assert document["resource"]["manifest"] == MANIFEST
    assert document["context"]["session"]["mode"] == "read_write"
    assert document["context"]["session"]["agent_budget"]["risk"]["limit"] == 100


def test_what_a_case_names_is_in_its_input() -> None:
    """Labels, flags, budgets, dry run, urls."""
    empty = {"limit": 0, "used": 0, "held": 0}
    document = given(labels=["l"], flags=["f"], urls=["u"], budget=empty, dry_run=True)
    context = document["context"]
    assert (context["flags"], context["urls"]) == (["f"], ["u"])
    assert context["session"]["labels"] == ["l"]
    assert context["session"]["budget"] == {"risk": empty}
    assert document["action"]["dry_run"] is True


def test_a_subject_can_have_several_roles_and_other_fields() -> None:
    """A list is one subject; `subject` overrides."""
    subject = given(role=["a", "b"], subject={"delegation_depth": 3})["subject"]
    assert (subject["roles"], subject["delegation_depth"]) == (["a", "b"], 3)


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("$scratch", "/ws/a"),
        ("$scratch/x", "/ws/a/x"),
        (["$scratch", {"a": "$scratch/y"}], ["/ws/a", {"a": "/ws/a/y"}]),
        ("$scratchy", "$scratchy"),
        ("$nowhere", "$nowhere"),
        ("in $scratch", "in $scratch"),
        ("$", "$"),
        (7, 7),
    ],
)
def test_a_workspace_stands_for_its_path(argument: Any, value: Any) -> None:
    """So that suites hold wherever the workspace is."""
    assert given(arguments={"x": argument})["context"]["arguments"] == {"x": value}


def test_a_case_may_change_the_manifest() -> None:
    """For what no shipped tool does; the catalogue stays as it is."""
    document = given(manifest={"effect": "read", "sinks": ["x"]})
    assert document["resource"]["manifest"] == {"effect": "read", "risk": 5, "sinks": ["x"]}
    assert document["action"]["effect"] == "read"
    assert CATALOGUE.tools["repo", "git_commit"].document == MANIFEST


def test_a_case_may_describe_a_tool_of_its_own() -> None:
    """It needs no entry in the bundle."""
    document = given(tool="mail/send", manifest=MANIFEST)
    assert document["resource"] == {
        "type": "tool",
        "id": "mail/send",
        "server": "mail",
        "tool": "send",
        "manifest": MANIFEST,
    }


def test_a_tool_that_is_not_in_the_bundle_is_a_mistake() -> None:
    """A renamed tool must not turn a case into one about unknown tools."""
    with pytest.raises(PolicyInvalid, match="mail/send is not in the bundle"):
        given(tool="mail/send")


def test_a_case_may_be_about_an_unknown_tool() -> None:
    """When it says so."""
    document = given(tool="mail/send", known=False)
    assert document["resource"]["manifest"] is None
    assert document["action"]["effect"] is None


def test_a_list_is_asked_for_the_same_subject_mode_and_tool() -> None:
    """Nothing else reaches it."""
    listed = visible_input({**GIVEN, "labels": ["l"]}, CATALOGUE)
    decided = given()
    assert listed["subject"] == decided["subject"]
    assert listed["resources"] == [decided["resource"]]
    assert listed["action"] == {"name": "tools/list"}
    assert listed["context"] == {"session": {"id": "suite", "mode": "read_write"}}
