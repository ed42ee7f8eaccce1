import base64
import json
from typing import Any

import pytest

from proxy.errors import BadRequest
from proxy.ingress.mcp_headers import check_arguments, decoded
from tests.harness.doors import request_scope


def marked(kind: str, token: str) -> dict[str, str]:
    return {"type": kind, "x-mcp-header": token}


SCHEMA = json.dumps(
    {
        "type": "object",
        "properties": {
            "region": marked("string", "Region"),
            "count": marked("integer", "Count"),
            "dry": marked("boolean", "Dry"),
            "deep": {"type": "object", "properties": {"inner": marked("string", "Inner")}},
            "plain": {"type": "string"},
        },
    }
).encode()


def wrapped(text: bytes) -> str:
    return f"=?base64?{base64.b64encode(text).decode()}?="


def check(
    arguments: dict[str, Any], headers: dict[str, str], schema: bytes | None = SCHEMA
) -> None:
    scope = request_scope("POST", "/mcp", {f"mcp-param-{k}": v for k, v in headers.items()})
    check_arguments(scope, schema, json.dumps(arguments).encode())


@pytest.mark.parametrize(
    ("arguments", "headers"),
    [
        ({}, {}),
        ({"plain": "x"}, {}),
        ({"region": "eu"}, {"region": "eu"}),
        ({"region": "Hé"}, {"region": wrapped("Hé".encode())}),
        ({"region": "eu"}, {"region": wrapped(b"eu")}),
        ({"region": "eu"}, {"region": " eu\t "}),
        ({"region": "=?base64?eu"}, {"region": "=?base64?eu"}),
        ({"count": 42}, {"count": "42"}),
        ({"count": 42}, {"count": "42.0"}),
        ({"count": -7}, {"count": wrapped(b"-7")}),
        ({"dry": True}, {"dry": "true"}),
        ({"dry": False}, {"dry": "false"}),
        ({"region": None}, {}),
        ({"region": ["eu"]}, {}),
        ({"deep": {"inner": "x"}}, {"inner": "x"}),
        ({"deep": "x"}, {}),
    ],
)
def test_headers_that_say_what_the_arguments_say_pass(
    arguments: dict[str, Any], headers: dict[str, str]
) -> None:
    """Plain, in base64, and numbers by their value."""
    check(arguments, headers)


@pytest.mark.parametrize(
    ("arguments", "headers"),
    [
        ({"region": "eu"}, {}),
        ({"region": "eu"}, {"region": "us"}),
        ({"region": "eu"}, {"region": "EU"}),
        ({}, {"region": "eu"}),
        ({"region": None}, {"region": "null"}),
        ({"region": ["eu"]}, {"region": "eu"}),
        ({"plain": "x"}, {"plain": "x"}),
        ({"region": "Hello"}, {"region": "=?base64?SGVsbG8?="}),
        ({"region": "Hello"}, {"region": "=?base64?SGVs!!!bG8=?="}),
        ({"region": "Hello"}, {"region": "=?base64?SGVsbG9=?="}),
        ({"count": 42}, {"count": "43"}),
        ({"count": 42}, {"count": "many"}),
        ({"count": 42}, {"count": "=?base64?!?="}),
        ({"dry": True}, {"dry": "True"}),
        ({"dry": True}, {"dry": "1"}),
        ({"deep": {"inner": "x"}}, {"inner": "y"}),
    ],
)
def test_a_header_that_misleads_is_refused(
    arguments: dict[str, Any], headers: dict[str, str]
) -> None:
    """Missing, different, orphaned, unmarked, broken."""
    with pytest.raises(BadRequest) as refused:
        check(arguments, headers)
    assert (refused.value.http, refused.value.rpc_code) == (400, -32020)


@pytest.mark.parametrize("schema", [None, b"{}", b'{"properties":{"x":{"x-mcp-header":""}}}'])
def test_without_marks_no_header_is_right(schema: bytes | None) -> None:
    """A tool nobody marked, or marked wrongly, takes none."""
    check({"x": "y"}, {}, schema)
    with pytest.raises(BadRequest):
        check({"x": "y"}, {"x": "y"}, schema)


def test_a_header_has_one_decoded_form() -> None:
    """A broken base64 form has none."""
    assert decoded(None) is None
    assert decoded("x") == "x"
    assert decoded(wrapped(b"x")) == "x"
    assert decoded(wrapped(b"\xff")) is None
    assert decoded("=?base64?\xff?=") is None
