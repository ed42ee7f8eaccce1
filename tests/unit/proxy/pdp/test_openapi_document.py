"""OpenAPI documents: versions, operations, references."""

import json
from typing import Any

import pytest

from proxy.errors import PolicyInvalid
from proxy.pdp import openapi_document
from proxy.pdp.openapi_document import Document, LeftOut


def document(**members: Any) -> Document:
    return Document({"openapi": "3.1.0", "paths": {}} | members, "api.json")


@pytest.mark.parametrize("version", ["3.0.3", "3.1.0", "3.1", "3.2.0"])
def test_versions_that_are_read(version: str) -> None:
    """JSON and YAML alike; 3.0 has another kind of schema."""
    text = f"openapi: {version}\npaths: {{}}\n"
    assert Document.read(text.encode(), "api.yaml").is_3_0 == version.startswith("3.0")
    assert list(Document.read(b'{"openapi":"3.1.0","paths":{}}', "x").operations()) == []


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"[]", "api:1: no OpenAPI document"),
        (b"openapi: 3.1.0", "api:1: no OpenAPI document"),
        (b"openapi: 3.1.0\npaths: [a]", "api:1: no OpenAPI document"),
        (b"swagger: '2.0'\npaths: {}", "api:1: not OpenAPI 3"),
        (b"openapi: 4.0.0\npaths: {}", "api:1: not OpenAPI 3"),
        (b"openapi: [\n", "api:2: not YAML or JSON"),
        (b"\xff", "api:1: not YAML or JSON"),
    ],
)
def test_what_is_no_such_document_is_told(content: bytes, problem: str) -> None:
    """With the file, and a cure."""
    with pytest.raises(PolicyInvalid, match=f"^{problem}.*Cure: "):
        Document.read(content, "api")


def test_a_document_has_a_largest_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody reviews what is larger."""
    monkeypatch.setattr(openapi_document, "MAX_BYTES", 10)
    with pytest.raises(PolicyInvalid, match="more than 10 bytes"):
        Document.read(b"openapi: 3.1.0\npaths: {}", "api")


def test_every_operation_is_found() -> None:
    """Those of path items elsewhere too; what is none is passed over."""
    paths = {
        "/a": {"get": {}, "head": {}, "summary": "x", "post": None},
        "/b": {"$ref": "#/components/pathItems/b"},
        "/c": {"$ref": "#/nowhere"},
        "/d": 7,
    }
    items = {"pathItems": {"b": {"delete": {"operationId": "x"}}}}
    found = document(paths=paths, components=items).operations()
    assert [(one.method, one.path) for one in found] == [
        ("GET", "/a"),
        ("HEAD", "/a"),
        ("DELETE", "/b"),
    ]


def test_the_paths_of_the_servers_are_told() -> None:
    """Without the root, each once."""
    servers = [{"url": url} for url in ("https://a.test/v1/", "/v1", "https://a.test", 7)]
    assert document(servers=servers).base_paths() == ["/v1"]
    assert document(servers=None).base_paths() == []


@pytest.mark.parametrize(
    ("reference", "found"),
    [
        ("#/components/x", {"a": 1}),
        ("#/components/a~1b~0c", {"b": 2}),
        ("#/components/a%7E1b~0c", {"b": 2}),
        ("#/components/list/1", {"c": 3}),
        ("#/components/chain", {"a": 1}),
    ],
)
def test_local_references_are_followed(reference: str, found: dict[str, int]) -> None:
    """RFC 6901 section 6, in chains too."""
    components = {
        "x": {"a": 1},
        "a/b~c": {"b": 2},
        "list": [0, {"c": 3}],
        "chain": {"$ref": "#/components/x"},
    }
    assert document(components=components).resolve({"$ref": reference}) == found


@pytest.mark.parametrize(
    ("reference", "why"),
    [
        ("https://evil.test/x.json#/a", "another document"),
        ("other.yaml", "another document"),
        ("file:///etc/passwd", "another document"),
        (7, "another document"),
        ("#/nowhere", "not there"),
        ("#/components/list/9", "not there"),
        ("#/components/list/-1", "not there"),
        ("#/components/loop", "too far"),
        ("#/openapi", "no object"),
    ],
)
def test_other_references_are_not(reference: Any, why: str) -> None:
    """Nothing is fetched, and a circle ends."""
    components = {"list": [], "loop": {"$ref": "#/components/loop"}}
    with pytest.raises(LeftOut, match=why):
        document(components=components).resolve({"$ref": reference})


def test_json_that_is_no_yaml_is_read() -> None:
    """Tabs between tokens, for one."""
    text = json.dumps({"openapi": "3.0.0", "paths": {}}, indent="\t")
    assert Document.read(text.encode(), "x").is_3_0
