import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from proxy.pipeline.secret_fields import MAX_STEPS, without_secrets

SECRET = {"type": "string", "writeOnly": True}
PASSWORD = {"type": "string", "format": "password"}
DEFINED = {"$defs": {"key": SECRET, "a/b": {"list": [PASSWORD]}}}

HIDDEN: dict[str, tuple[Any, Any, Any]] = {
    "a member": ({"properties": {"a": SECRET}}, {"a": "x", "b": 1}, {"a": "[redacted]", "b": 1}),
    "a password": ({"properties": {"a": PASSWORD}}, {"a": "x"}, {"a": "[redacted]"}),
    "an object": ({"properties": {"a": {"writeOnly": True}}}, {"a": {"b": 1}}, {"a": "[redacted]"}),
    "inside": (
        {"properties": {"a": {"properties": {"b": SECRET}}}},
        {"a": {"b": "x", "c": "y"}},
        {"a": {"b": "[redacted]", "c": "y"}},
    ),
    "items": ({"properties": {"a": {"items": SECRET}}}, {"a": ["x"]}, {"a": ["[redacted]"]}),
    "the first item": (
        {"properties": {"a": {"prefixItems": [SECRET], "items": {}}}},
        {"a": ["x", "y"]},
        {"a": ["[redacted]", "y"]},
    ),
    "the first items, as before 2020-12": (
        {"properties": {"a": {"items": [SECRET, {}], "additionalItems": SECRET}}},
        {"a": ["x", "y", "z"]},
        {"a": ["[redacted]", "y", "[redacted]"]},
    ),
    "what is contained": (
        {"properties": {"a": {"contains": SECRET}}},
        {"a": ["x"]},
        {"a": ["[redacted]"]},
    ),
    "what else is there": ({"unevaluatedProperties": SECRET}, {"a": "x"}, {"a": "[redacted]"}),
    "where another member is": (
        {"dependentSchemas": {"b": {"properties": {"a": SECRET}}}},
        {"a": "x"},
        {"a": "[redacted]"},
    ),
    "any other member": ({"additionalProperties": SECRET}, {"a": "x"}, {"a": "[redacted]"}),
    "by a pattern": ({"patternProperties": {"^k": SECRET}}, {"key": "x"}, {"key": "[redacted]"}),
    "in a branch": (
        {"anyOf": [{"properties": {"a": {}}}, {"properties": {"a": SECRET}}]},
        {"a": "x"},
        {"a": "[redacted]"},
    ),
    "in a case": ({"if": {}, "then": {"properties": {"a": SECRET}}}, {"a": 1}, {"a": "[redacted]"}),
    "by reference": (
        DEFINED | {"properties": {"a": {"$ref": "#/$defs/key"}}},
        {"a": "x"},
        {"a": "[redacted]"},
    ),
    "by a long reference": (
        DEFINED | {"properties": {"a": {"$ref": "#/$defs/a~1b/list/0"}}},
        {"a": "x"},
        {"a": "[redacted]"},
    ),
    "everything": ({"writeOnly": True}, {"a": "x"}, "[redacted]"),
}
LOST = {
    "an absent definition": {"$ref": "#/$defs/none"},
    "another document": {"$ref": "https://example.org/schema"},
    "a circle": {"$ref": "#"},
    "whatever is meant by then": {"$dynamicRef": "#node"},
    "a name": {"$ref": "#name"},
    "no text": {"$ref": 7},
    "a word of later drafts": {"dependentSchemas": []},
    "no members": {"patternProperties": []},
}


@pytest.mark.parametrize(("schema", "given", "shown"), HIDDEN.values(), ids=HIDDEN)
def test_what_the_schema_calls_secret_is_not_shown(schema: Any, given: Any, shown: Any) -> None:
    """Everything else is, as it is."""
    seen = without_secrets(json.dumps(given).encode(), json.dumps(schema).encode())
    assert json.loads(seen) == shown


@pytest.mark.parametrize("schema", [{}, {"properties": {"a": {"format": "uri"}}}])
def test_without_a_word_of_secrets_the_bytes_stay(schema: Any) -> None:
    """Not even spaces change."""
    given = b'{ "a": 1.0 }'
    assert without_secrets(given, json.dumps(schema).encode()) is given


@pytest.mark.parametrize("schema", LOST.values(), ids=LOST)
def test_a_schema_that_leads_nowhere_shows_nothing(schema: dict[str, Any]) -> None:
    """Better nothing than a secret."""
    marked = json.dumps(schema | {"properties": {"a": SECRET}}).encode()
    assert b'"x"' not in without_secrets(b'{"b":"x"}', marked)


def test_a_schema_without_end_is_not_followed() -> None:
    """Its steps are counted over the whole value."""
    schema = json.dumps({"items": {"allOf": [{"writeOnly": False}]}}).encode()
    given = json.dumps({"a": ["x"]}).encode()
    assert without_secrets(given, schema) == given.replace(b" ", b"")
    many = json.dumps({"properties": {"a": {"items": {"writeOnly": False}}}}).encode()
    assert b"x" not in without_secrets(json.dumps({"a": ["x"] * MAX_STEPS}).encode(), many)


def test_a_schema_may_be_a_boolean() -> None:
    """True applies nothing."""
    schema = json.dumps({"properties": {"a": True, "b": SECRET}}).encode()
    assert without_secrets(b'{"a":1}', schema) == b'{"a":1}'


async def test_an_approval_asks_without_the_secrets(house: Any) -> None:
    """Its hash is of the whole call, so that another secret needs another approval."""
    hold = {"verdict": "hold", "reasons": [{"id": "approval-required", "message": "Ask."}]}
    house.engine.decision = house.engine.decision | hold
    secret = json.dumps({"type": "object", "properties": {"path": SECRET}}).encode()
    house.tool.tools[2] = replace(house.tool.tools[2], input_schema=secret)
    await house.registry.refresh()
    for path in ("a", "b"):
        await house.call("rm", arguments={"path": path})
    asked = await house.store.approvals(None, ("*",), 100, datetime.now(UTC))
    assert {json.loads(one.request)["arguments"]["path"] for one in asked} == {"[redacted]"}
    assert len({one.binding.request_sha256 for one in asked}) == 2
