"""What a stateless call repeats in its headers, compared with the official SDK."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mcp.shared.inbound import (
    decode_header_value,
    find_invalid_x_mcp_header,
    mcp_param_headers,
    x_mcp_header_map,
)

from proxy.upstream.mirrored import header_value, marks_of, mirrored

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "region": {"type": "string", "x-mcp-header": "Region"},
        "count": {"type": "integer", "x-mcp-header": "Count"},
        "dry": {"type": "boolean", "x-mcp-header": "Dry"},
        "deep": {"type": "object", "properties": {"er": {"type": "string", "x-mcp-header": "E"}}},
        "plain": {"type": "string"},
        "odd": True,
    },
}


def headers(schema: dict[str, Any], arguments: dict[str, Any]) -> dict[str, str]:
    return mirrored(marks_of(json.dumps(schema).encode()), json.dumps(arguments).encode())


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"region": "eu", "count": 42, "dry": True, "deep": {"er": "x"}, "plain": "y"},
        {"region": "", "dry": False, "deep": {}},
        {"region": None, "deep": 1, "count": 1e21},
        {"region": " padded ", "deep": {"er": "é\r\nX: 1"}},
        {"region": "=?base64?eA==?="},
        {"region": ["a"], "count": {"a": 1}},
    ],
)
def test_the_headers_are_those_of_the_sdk(arguments: dict[str, Any]) -> None:
    """The same headers as the official client sends."""
    assert headers(SCHEMA, arguments) == mcp_param_headers(x_mcp_header_map(SCHEMA), arguments)


@pytest.mark.parametrize(
    "wrong",
    [
        {"type": "number", "x-mcp-header": "A"},
        {"x-mcp-header": "A"},
        {"type": ["string"], "x-mcp-header": "A"},
        {"type": "string", "x-mcp-header": ""},
        {"type": "string", "x-mcp-header": "a b"},
        {"type": "string", "x-mcp-header": "a\r\nb"},
        {"type": "string", "x-mcp-header": 1},
        {"type": "string", "x-mcp-header": "region"},
    ],
)
def test_a_schema_with_a_wrong_mark_has_none(wrong: dict[str, Any]) -> None:
    """Neither we nor a server of the SDK heed any mark of such a schema."""
    schema = {"properties": {**SCHEMA["properties"], "wrong": wrong}}
    assert find_invalid_x_mcp_header(schema) is not None
    assert headers(schema, {"region": "eu"}) == {}


@pytest.mark.parametrize("schema", [b"{}", b"true", b'{"properties":[]}', b'{"properties":null}'])
def test_a_schema_without_properties_has_no_marks(schema: bytes) -> None:
    """Any JSON Schema is looked at without harm."""
    assert marks_of(schema) == ()


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_value_survives_its_header(text: str) -> None:
    """Whatever the text, the header is printable ASCII and decodes to it."""
    value = header_value(text)
    assert value.isascii()
    assert value == "" or value.isprintable()
    assert decode_header_value(value) == text
