"""Operations as tools."""

from typing import Any

import pytest

from proxy.pdp.openapi_document import Document, LeftOut, Operation
from proxy.pdp.openapi_operation import Tool, tool_of

TEXT = {"type": "string"}


def tool(path: str = "/", about: Any = None, method: str = "POST") -> Tool:
    document = Document({"openapi": "3.1.0", "paths": {}}, "api")
    return tool_of(document, Operation(method, path, {}, about or {}))


def body(**properties: Any) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties, "required": ["name"]}
    return {"requestBody": {"content": {"application/json": {"schema": schema}}}}


def test_the_schema_of_a_tool_is_closed() -> None:
    """Everything a request needs is required."""
    about = {"parameters": [{"name": "page", "in": "query", "schema": TEXT}]} | body(name=TEXT)
    assert tool("/items/{id}", about).input_schema() == {
        "type": "object",
        "additionalProperties": False,
        "required": ["id", "name"],
        "properties": {"id": TEXT, "page": TEXT, "name": TEXT},
    }


def test_clashes_are_resolved_by_a_suffix() -> None:
    """The name on the wire stays."""
    about = {
        "parameters": [
            {"name": "id", "in": "query", "schema": TEXT},
            {"name": "id_body", "in": "query", "schema": TEXT},
        ]
    } | body(id=TEXT, name=TEXT)
    made = tool("/items/{id}", about)
    assert list(made.arguments) == ["id", "id_query", "id_body", "id_body2", "name"]
    assert made.names() == {"id_query": "id", "id_body2": "id"}
    assert (made.placed("path"), made.placed("body")) == (["id"], ["id_body2", "name"])


def test_a_long_name_that_clashes_stays_a_name() -> None:
    """Of at most 128 characters."""
    long = "x" * 128
    made = tool(f"/{{{long}}}", body(**{long: TEXT, "name": TEXT}))
    assert max(map(len, made.arguments)) == 128
    assert made.names() == {"x" * 123 + "_body": long}


@pytest.mark.parametrize(
    ("about", "description"),
    [
        ({"summary": "Make\none", "description": "Long"}, "Make one"),
        ({"summary": " ", "description": "Long"}, "Long"),
        ({"summary": 7}, "POST /"),
    ],
)
def test_a_description_is_one_line(about: Any, description: str) -> None:
    """The document's own, or method and path."""
    assert tool(about=about).description == description


@pytest.mark.parametrize(
    ("path", "method", "why"),
    [
        ("/a", "HEAD", "the method is none of"),
        ("a", "GET", "begin with a slash"),
        ("/{+rest}", "GET", "no template"),
        ("/{a b}", "GET", "no template"),
        ("/a b", "GET", "no template"),
        ("/{a}/{a}", "GET", "no template"),
        ("/a?b=1", "GET", "no template"),
        ("/a//b", "GET", "empty or dot segment"),
        ("/../b", "GET", "empty or dot segment"),
    ],
)
def test_what_no_tool_can_be_is_left_out(path: str, method: str, why: str) -> None:
    """With the reason."""
    with pytest.raises(LeftOut, match=why):
        tool(path, method=method)


@pytest.mark.parametrize("path", ["/", "/a/", "/{id}:cancel", "/a.b/{c}.json"])
def test_usual_paths_are_taken(path: str) -> None:
    """As the template's own reader takes them."""
    assert tool(path).path == path


def test_a_schema_that_does_not_compile_leaves_the_tool_out() -> None:
    """It would keep the whole bundle from loading."""
    with pytest.raises(LeftOut, match="no JSON Schema"):
        tool(about=body(name={"type": "string", "pattern": "(["}))


def test_what_is_referred_to_goes_along() -> None:
    """As definitions of the tool."""
    root = {
        "openapi": "3.1.0",
        "paths": {},
        "components": {"schemas": {"Row": {"type": "object", "properties": {"a": TEXT}}}},
    }
    about = body(name={"$ref": "#/components/schemas/Row"})
    made = tool_of(Document(root, "api"), Operation("POST", "/", {}, about))
    assert made.input_schema()["$defs"] == {"Row": {"type": "object", "properties": {"a": TEXT}}}
