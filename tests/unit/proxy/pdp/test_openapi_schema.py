"""Schemas of OpenAPI as JSON Schema."""

from typing import Any

import jsonschema_rs
import pytest

from proxy.pdp.openapi_document import Document, LeftOut
from proxy.pdp.openapi_schema import MAX_DEPTH, MAX_NODES, Schemas

COMPONENTS = {
    "Name": {"type": "string", "maxLength": 9},
    "Tree": {"type": "object", "properties": {"left": {"$ref": "#/components/schemas/Tree"}}},
    "a/b": {"type": "string"},
    "left": {"type": "string"},
    "Secret": {"type": "string", "readOnly": True},
}


def schemas() -> Schemas:
    root = {"openapi": "3.0.0", "paths": {}, "components": {"schemas": COMPONENTS}}
    return Schemas(Document(root, "api"))


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ({"type": "string", "example": "x", "title": "T", "xml": {}}, {"type": "string"}),
        ({"type": "file"}, {}),
        ({"type": ["string", "null"]}, {"type": ["string", "null"]}),
        ({"type": "string", "nullable": True}, {"type": ["string", "null"]}),
        ({"type": "string", "enum": ["a"], "nullable": True},
         {"type": ["string", "null"], "enum": ["a", None]}),
        ({"enum": ["a"], "nullable": True}, {"anyOf": [{"enum": ["a"]}, {"type": "null"}]}),
        ({"maximum": 5, "exclusiveMaximum": True}, {"exclusiveMaximum": 5}),
        ({"minimum": 5, "exclusiveMinimum": False}, {"minimum": 5}),
        ({"exclusiveMinimum": 5}, {"exclusiveMinimum": 5}),
        ({"exclusiveMinimum": True}, {}),
        ({"maximum": 2**63, "minimum": 1e-200}, {}),
        ({"enum": [10**15]}, {}),
        ({"enum": [[1, "a"]]}, {"enum": [[1, "a"]]}),
        ({"default": {"a": 1}}, {}),
        ({"default": "x", "format": "uuid", "pattern": "^a"},
         {"default": "x", "format": "uuid", "pattern": "^a"}),
        ({"uniqueItems": True, "pattern": 7}, {"uniqueItems": True}),
        ({"description": "a\nb \u202e"}, {"description": "a b"}),
        ({"items": {"type": "string"}}, {"items": {"type": "string"}}),
        ({"additionalProperties": False}, {"additionalProperties": False}),
        ({"anyOf": [{"type": "string"}], "oneOf": 7}, {"anyOf": [{"type": "string"}]}),
        ({"properties": {"a": True}}, {"properties": {"a": True}}),
        ({"patternProperties": {"^a": {}}}, {"patternProperties": {"^a": {}}}),
        ({"required": ["b", "a"]}, {"required": ["a", "b"]}),
        (True, True),
        (None, {}),
    ],
)  # fmt: skip
def test_what_may_be_sent_is_kept(given: Any, made: Any) -> None:
    """In the words of JSON Schema 2020-12, for numbers every reader agrees on."""
    assert schemas().convert(given) == made


def test_read_only_properties_are_not_sent() -> None:
    """Those that a reference says it of included; nor are they required."""
    properties = {
        "id": {"type": "integer", "readOnly": True},
        "secret": {"$ref": "#/components/schemas/Secret"},
        "name": {"type": "string", "writeOnly": True},
    }
    made = schemas().convert({"properties": properties, "required": ["id", "name", "secret"]})
    assert made == {"properties": {"name": {"type": "string"}}, "required": ["name"]}


def test_what_is_referred_to_becomes_a_definition() -> None:
    """Once, under a name that is one; a schema that holds itself stays finite."""
    made = schemas()
    names = ("Name", "Tree", "a~1b", "Name")
    array = {"anyOf": [{"$ref": f"#/components/schemas/{name}"} for name in names]}
    converted = made.convert(array)
    assert [part["$ref"] for part in converted["anyOf"]] == [
        "#/$defs/Name",
        "#/$defs/Tree",
        "#/$defs/a_1b",
        "#/$defs/Name",
    ]
    assert made.defs["Tree"]["properties"]["left"] == {"$ref": "#/$defs/Tree"}
    jsonschema_rs.validator_for(converted | {"$defs": made.defs})


def test_two_definitions_of_one_name_stay_two() -> None:
    """They come from different places."""
    names = ("left", "Tree/properties/left")
    parts = [{"$ref": f"#/components/schemas/{name}"} for name in names]
    made = schemas()
    found = [part["$ref"] for part in made.convert({"anyOf": parts})["anyOf"]]
    assert found == ["#/$defs/left", "#/$defs/left_"]
    assert made.defs["left"] != made.defs["left_"]


@pytest.mark.parametrize(
    "given",
    [
        {"anyOf": [{}] * MAX_NODES},
        {"$ref": "https://evil.test/schema.json"},
        {"properties": {"a": {"$ref": "#/nowhere"}}},
    ],
)
def test_what_cannot_be_reviewed_is_left_out(given: Any) -> None:
    """Too large, or elsewhere."""
    with pytest.raises(LeftOut):
        schemas().convert(given)


def test_what_is_too_deep_is_left_out() -> None:
    """Not cut: a schema with a hole takes anything there."""
    deep: dict[str, Any] = {}
    for _ in range(MAX_DEPTH + 1):
        deep = {"items": deep}
    with pytest.raises(LeftOut, match="too large"):
        schemas().convert(deep)
