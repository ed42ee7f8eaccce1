"""Which tool a method and a path mean."""

from collections.abc import Mapping

import pytest

from proxy.errors import BadRequest
from proxy.ingress.http_routes import Routes
from proxy.model.tool import Effect, HttpBinding, ToolManifest

NUMBERED = b'{"properties":{"n":{"type":"integer"}}}'
TOOLS = {
    "list": HttpBinding("GET", "/items"),
    "slash": HttpBinding("GET", "/items/"),
    "make": HttpBinding("POST", "/items"),
    "any": HttpBinding("GET", "/items/{id}"),
    "number": HttpBinding("GET", "/items/{n}", input_schema=NUMBERED),
    "json": HttpBinding("GET", "/items/{id}.json"),
    "mine": HttpBinding("GET", "/items/mine"),
    "pair": HttpBinding("GET", "/pairs/{a}-{b}"),
    "named": HttpBinding("GET", "/named", is_routed=False),
    "root": HttpBinding("GET", "/"),
}


def manifest(server: str, tool: str, binding: HttpBinding | None) -> ToolManifest:
    return ToolManifest(server, tool, Effect.READ, http=binding)


def routes() -> Routes:
    manifests = {("rec", name): manifest("rec", name, one) for name, one in TOOLS.items()}
    manifests["other", "items"] = manifest("other", "items", HttpBinding("GET", "/items"))
    manifests["rec", "mcp"] = manifest("rec", "mcp", None)
    return Routes(manifests)


def found(method: str, path: str, server: str = "rec") -> tuple[str, Mapping[str, str]] | None:
    one = routes().find(server, method, tuple(path[1:].split("/")))
    return (one.tool, one.values) if one else None


@pytest.mark.parametrize(
    ("method", "path", "tool", "values"),
    [
        ("GET", "/items", "list", {}),
        ("GET", "/items/", "slash", {}),
        ("POST", "/items", "make", {}),
        ("GET", "/items/a b", "any", {"id": "a b"}),
        ("GET", "/items/12", "number", {"n": "12"}),
        ("GET", "/items/12.json", "json", {"id": "12"}),
        ("GET", "/items/mine", "mine", {}),
        ("GET", "/pairs/x-y", "pair", {"a": "x", "b": "y"}),
        ("GET", "/", "root", {}),
    ],
)
def test_the_most_literal_route_is_meant(
    method: str, path: str, tool: str, values: dict[str, str]
) -> None:
    """Whatever the order of the manifests."""
    assert found(method, path) == (tool, values)


@pytest.mark.parametrize(
    ("method", "path"),
    [("PUT", "/items"), ("GET", "/item"), ("GET", "/items/1/2"), ("GET", "/named")],
)
def test_everything_else_is_no_tool(method: str, path: str) -> None:
    """Another method, another path, and tools that are called by their names only."""
    assert found(method, path) is None


def test_each_server_has_its_own_routes() -> None:
    """The same path is another tool elsewhere, or none."""
    assert found("GET", "/items", "other") == ("items", {})
    assert found("GET", "/items/1", "other") is None
    assert found("GET", "/items", "nowhere") is None


def test_a_segment_with_two_readings_is_refused() -> None:
    """Neither is guessed, nor is another tool called."""
    with pytest.raises(BadRequest) as refused:
        found("GET", "/pairs/x-y-z")
    assert refused.value.code == "invalid-path"
