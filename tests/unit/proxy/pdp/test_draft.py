"""Manifest drafts."""

import json
from pathlib import Path
from typing import Any

import pytest

from proxy.model.tool import ToolDefinition
from proxy.pdp.draft import draft_manifest
from proxy.pdp.manifest_problems import problems_of_tool
from proxy.pdp.manifests import load_catalogue
from proxy.pdp.strict_yaml import load


def definition(name: str, **raw: Any) -> ToolDefinition:
    """Return a definition as an upstream gives it."""
    wire = {"name": name, "inputSchema": {"type": "object"}, **raw}
    schema = json.dumps(wire["inputSchema"]).encode()
    return ToolDefinition(name, json.dumps(wire).encode(), "sha256:" + "a" * 64, schema)


def drafted(*definitions: ToolDefinition) -> Any:
    """Return the draft as it would be read."""
    return load(draft_manifest("repo", definitions).encode(), "draft")


def test_a_draft_is_a_manifest_that_loads(tmp_path: Path) -> None:
    """A reviewer edits it; nobody has to repair it."""
    folder = tmp_path / "tools/repo"
    folder.mkdir(parents=True)
    (tmp_path / "budgets").mkdir()
    budgets = "default: {session_risk: 1, agent_risk: 1, window_s: 1}"
    (tmp_path / "budgets/data.yaml").write_text(budgets)
    (folder / "data.yaml").write_text(draft_manifest("repo", [definition("a"), definition("b")]))
    assert list(load_catalogue(tmp_path).tools) == [("repo", "a"), ("repo", "b")]


@pytest.mark.parametrize(
    ("annotations", "effect"),
    [
        ({"readOnlyHint": True}, "read"),
        ({"readOnlyHint": False}, "irreversible"),
        ({"readOnlyHint": "true"}, "irreversible"),
        ({"destructiveHint": False}, "irreversible"),
        ({}, "irreversible"),
        ([], "irreversible"),
        (None, "irreversible"),
    ],
)
def test_an_effect_is_irreversible_unless_the_server_hints_at_a_read(
    annotations: Any, effect: str
) -> None:
    """A hint is marked as one."""
    text = draft_manifest("repo", [definition("a", annotations=annotations)])
    assert load(text.encode(), "draft")["a"]["effect"] == effect
    assert ("hint by the server: review" in text) is (effect == "read")


def test_pins_are_filled_and_the_rest_is_careful() -> None:
    """Opaque, untrusted, no credential."""
    entry = drafted(definition("a"))["a"]
    assert entry["pin"] == "sha256:" + "a" * 64
    assert (entry["recovery"], entry["returns"]) == ("opaque", "untrusted")
    assert entry["credential"] == {"broker": "none"}
    assert list(problems_of_tool("a", entry, {})) == []


def test_tools_stand_in_the_order_of_their_names() -> None:
    """The order of a server is its own."""
    assert list(drafted(definition("b"), definition("a"), definition("c"))) == ["a", "b", "c"]


@pytest.mark.parametrize("name", ["true", "null", "y", "No", "1e3", "0x1", "-a", "a.b", "7", "~"])
def test_a_name_stays_a_name(name: str) -> None:
    """Whatever YAML would make of it."""
    assert list(drafted(definition(name))) == [name]


def test_a_tool_that_is_easily_taken_for_another_has_no_entry() -> None:
    """A reviewer who wants both writes both."""
    tools = [definition("delete"), definition("de1ete"), definition("list")]
    draft = draft_manifest("repo", tools)
    assert list(load(draft.encode(), "draft")) == ["list"]
    assert "# de1ete is left out: it is easily taken for delete.\n" in draft


@pytest.mark.parametrize(
    "text",
    ["a\nevil: {effect: read}", "a\r\nevil: 1", "a\u2028evil: 1", "a\x85evil: 1", "\u202eevil", 7],
)
def test_a_servers_text_stays_a_comment(text: Any) -> None:
    """A description cannot add an entry, nor hide what a reviewer sees."""
    draft = draft_manifest("repo", [definition("a", description=text)])
    assert list(load(draft.encode(), "draft")) == ["a"]
    assert draft.isascii()
    assert all(line == line.rstrip() for line in draft.split("\n"))


def test_a_long_text_is_cut() -> None:
    """A comment is one line."""
    draft = draft_manifest("repo", [definition("a", description="x" * 5000)])
    assert max(len(line) for line in draft.split("\n")) < 170


def test_arguments_are_told_as_comments() -> None:
    """Name, type, and whether the tool needs it."""
    schema = {
        "type": "object",
        "required": ["to"],
        "properties": {"to": {"type": "string"}, "cc": {"anyOf": []}, "x\ny": True},
    }
    draft = draft_manifest("mail", [definition("send", inputSchema=schema)])
    assert "  # argument cc: any, optional\n" in draft
    assert "  # argument to: string, required\n" in draft
    assert "  # argument x y: any, optional\n" in draft


@pytest.mark.parametrize("schema", [{"properties": []}, {"required": 1, "properties": {"a": {}}}])
def test_a_strange_schema_does_no_harm(schema: dict[str, Any]) -> None:
    """What cannot be read is not told."""
    assert list(drafted(definition("a", inputSchema=schema))) == ["a"]
