"""Definitions and their pins."""

import hashlib
import logging
from typing import Any

import pytest

from proxy.model.tool import ToolDefinition
from proxy.upstream.definitions import MAX_SHOWN_CHARS, definition_of, definitions_of

TOOL: dict[str, Any] = {
    "name": "git_log",
    "description": "Shows the log",
    "inputSchema": {"type": "object", "properties": {"n": {"maximum": 10}}},
    "annotations": {"readOnlyHint": True},
}


def test_a_definition_is_the_whole_wire_object() -> None:
    """Canonical bytes, their hash, and the schema on its own."""
    made = definition_of(TOOL)
    assert made.raw.startswith(b'{"annotations":{"readOnlyHint":true},"description":')
    assert made.pin == "sha256:" + hashlib.sha256(made.raw).hexdigest()
    assert made.input_schema == b'{"properties":{"n":{"maximum":10}},"type":"object"}'


def test_the_order_of_members_does_not_matter() -> None:
    """The same object in another order has the same pin."""
    assert definition_of(dict(reversed(TOOL.items()))) == definition_of(TOOL)


@pytest.mark.parametrize(
    "change",
    [
        {"description": "Shows the log."},
        {"title": "Log"},
        {"inputSchema": {"type": "object"}},
        {"outputSchema": {"type": "object"}},
        {"annotations": {"readOnlyHint": False}},
        {"icons": []},
        {"_meta": {}},
        {"new": None},
    ],
)
def test_any_change_changes_the_pin(change: dict[str, Any]) -> None:
    """Descriptions, schemas, annotations, icons and what is not known yet (A35)."""
    assert definition_of({**TOOL, **change}).pin != definition_of(TOOL).pin


def test_integers_beyond_doubles_are_read_as_doubles() -> None:
    """RFC 8785 knows only IEEE 754 numbers; schemas of 64-bit integers exist."""
    schema = {"maximum": 18446744073709551615, "enum": [2**53 - 1]}
    made = definition_of({**TOOL, "inputSchema": schema})
    assert made.input_schema == b'{"enum":[9007199254740991],"maximum":18446744073709552000}'


@pytest.mark.parametrize(
    "tool",
    [
        None,
        [],
        {},
        {"name": "a"},
        {"name": "a", "inputSchema": []},
        {"name": "", "inputSchema": {}},
        {"name": 1, "inputSchema": {}},
        {"name": "a b", "inputSchema": {}},
        {"name": "a\n", "inputSchema": {}},
        {"name": "d\u0435lete", "inputSchema": {}},
        {"name": "a" * 129, "inputSchema": {}},
        {"name": "a", "inputSchema": {"x": "\ud800"}},
        {"name": "a", "inputSchema": {"x": 10**400}},
    ],
)
def test_what_is_no_tool_is_left_out(tool: Any, caplog: pytest.LogCaptureFixture) -> None:
    """It is logged, and the others stay."""
    assert sound(definitions_of("s", [tool, TOOL])) == ["git_log"]
    assert "left out" in caplog.text


def sound(definitions: tuple[ToolDefinition, ...]) -> list[str]:
    return [one.name for one in definitions if not one.problem]


def test_what_has_a_name_comes_with_its_problem() -> None:
    """So that people can be told which name somebody tried to take."""
    odd = {"name": "d\u0435lete" * 100, "inputSchema": {}}
    (one,) = definitions_of("s", [odd, {"inputSchema": {}}])
    assert one.name == ("d\u0435lete" * 100)[:MAX_SHOWN_CHARS]
    assert "1 to 128" in one.problem
    assert (one.pin, one.raw) == ("", b"{}")


def test_a_name_given_twice_names_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """Which of the two a call would reach is not known, so neither exists."""
    caplog.set_level(logging.WARNING)
    other = {**TOOL, "name": "other"}
    found = definitions_of("s", [TOOL, other, TOOL, TOOL])
    assert sound(found) == ["other"]
    assert [one.name for one in found if one.problem] == ["git_log"]
    assert "git_log" in caplog.text
