"""What a stateless call repeats in its headers, compared with the official SDK."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mcp.shared.inbound import (
    NAME_BEARING_METHODS,
    decode_header_value,
    find_invalid_x_mcp_header,
    mcp_param_headers,
    x_mcp_header_map,
)

from proxy.model.tool import Effect, ToolManifest
from proxy.upstream.base import UpstreamCall
from proxy.upstream.mirrored import header_value, marks_of, mirrored, name_header

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
    return mirrored(marks_of(json.dumps(schema).encode()) or (), json.dumps(arguments).encode())


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
def test_a_schema_with_a_wrong_mark_is_told(wrong: dict[str, Any]) -> None:
    """Neither we nor the SDK let a tool with such a schema exist."""
    schema = {"properties": {**SCHEMA["properties"], "wrong": wrong}}
    assert find_invalid_x_mcp_header(schema) is not None
    assert marks_of(json.dumps(schema).encode()) is None


@pytest.mark.parametrize(
    ("method", "arguments", "expected"),
    [
        ("tools/call", b"{}", {"Mcp-Name": "t"}),
        ("prompts/get", b'{"name":"greet"}', {"Mcp-Name": "greet"}),
        ("resources/read", '{"uri":"note://é"}'.encode(), {"Mcp-Name": header_value("note://é")}),
        ("resources/read", b'{"uri":1}', {}),
        ("tasks/get", b'{"taskId":"t1"}', {"Mcp-Name": "t1"}),
        ("tasks/update", b'{"taskId":"t1","inputResponses":{}}', {"Mcp-Name": "t1"}),
        ("tasks/cancel", b'{"taskId":"t1"}', {"Mcp-Name": "t1"}),
        ("tasks/list", b"{}", {}),
        ("completion/complete", b'{"ref":{"name":"greet"}}', {}),
    ],
)
def test_what_a_call_is_about_is_named(
    method: str, arguments: bytes, expected: dict[str, str]
) -> None:
    """A tool or prompt by its name, a resource by its URI, a task by its id; others not at all."""
    manifest = ToolManifest("s", "t", Effect.READ)
    assert name_header(UpstreamCall(manifest, arguments, 1, method=method)) == expected


def test_the_core_methods_that_name_something_are_those_of_the_sdk() -> None:
    """Its server compares the header of exactly these; an extension brings its own."""
    assert dict(NAME_BEARING_METHODS) == {
        "tools/call": "name",
        "prompts/get": "name",
        "resources/read": "uri",
    }


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
