"""Manifest drafts from an OpenAPI document."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import pytest
from fastapi import FastAPI, Header, UploadFile
from pydantic import BaseModel, Field

from proxy.ingress.agents import agents_api
from proxy.model.tool import Effect
from proxy.pdp.manifests import Catalogue, load_catalogue
from proxy.pdp.openapi import draft_openapi
from tests.harness.doors import RecordingGate

Written = Callable[[dict[str, str]], Path]
BUDGETS = "default: {session_risk: 1, agent_risk: 1, window_s: 1}"
TEXT = {"type": "string"}


class Part(BaseModel):
    """A part holds parts."""

    name: str = Field(max_length=10)
    parts: list["Part"] = []


class Item(BaseModel):
    id: int
    part: Part
    price: float | None = None


def shop() -> dict[str, Any]:
    """Return what FastAPI says of a small shop."""
    api = FastAPI(title="shop", servers=[{"url": "https://shop.test/v1"}])

    @api.get("/items/{item_id}", response_model=Item)
    def read_item(item_id: int, q: str | None = None, tags: list[str] | None = None) -> None: ...

    @api.put("/items/{id}", response_model=Item)
    def replace_item(id: int, item: Item, if_match: Annotated[str, Header()]) -> None: ...  # noqa: A002 as real APIs call it

    @api.delete("/items/{item_id}", summary="Deletes\nan item")
    def delete_item(item_id: int) -> None: ...

    @api.post("/photos")
    def upload(photo: UploadFile) -> None: ...

    return api.openapi()


def draft(document: Any) -> str:
    return draft_openapi("api", json.dumps(document).encode(), "api.json")


def load(written: Written, text: str) -> Catalogue:
    return load_catalogue(written({"budgets/data.yaml": BUDGETS, "tools/api/data.yaml": text}))


def paths(**given: Any) -> dict[str, Any]:
    return {"openapi": "3.1.0", "paths": {f"/{path}": about for path, about in given.items()}}


def test_a_draft_of_a_real_service_loads(written: Written) -> None:
    """Nobody has to repair it; what it says is on the careful side."""
    tools = load(written, draft(shop())).tools
    effects = {manifest.tool: (manifest.effect, manifest.risk) for manifest in tools.values()}
    assert effects == {
        "read_item_items__item_id__get": (Effect.READ, 1),
        "replace_item_items__id__put": (Effect.IRREVERSIBLE, 10),
        "delete_item_items__item_id__delete": (Effect.IRREVERSIBLE, 20),
    }
    assert all(one.untrusted and one.credential.broker == "none" for one in tools.values())


def test_every_argument_has_its_place(written: Written) -> None:
    """Path, query, headers and body, with the names of the wire."""
    tools = load(written, draft(shop())).tools
    read = tools["api", "read_item_items__item_id__get"].http
    put = tools["api", "replace_item_items__id__put"].http
    assert read is not None
    assert put is not None
    assert (read.method, read.path, read.query) == ("GET", "/items/{item_id}", ("q",))
    assert (put.headers, put.body) == (("if-match",), ("id_body", "part", "price"))
    assert put.names == (("id_body", "id"),)
    schema = json.loads(put.input_schema)
    assert schema["additionalProperties"] is False
    assert schema["required"] == ["id", "if-match", "id_body", "part"]
    assert schema["properties"]["part"] == {"$ref": "#/$defs/Part-Input"}


def test_what_is_left_out_is_told() -> None:
    """At the tool, or at the end; and where base_url has to end."""
    text = draft(shop())
    assert "# Left out: POST /photos: it needs its body, but multipart/form-data is not" in text
    assert "# Left out: the body: a GET has none\nread_item_items__item_id__get:" in text
    assert "# The document puts its paths below /v1: base_url has to end with that.\n" in text


def test_our_own_description_is_imported(written: Written) -> None:
    """As a service that FastAPI describes."""
    tools = load(written, draft(agents_api(RecordingGate(), dict).openapi())).tools
    (opening,) = (one for one in tools.values() if one.http and one.http.path == "/v1/sessions")
    assert opening.http is not None
    assert set(opening.http.body) == {"mode", "budget", "purpose"}


@pytest.mark.parametrize(
    ("operation_id", "name"),
    [
        ("listThings", "listThings"),
        ("list things/all", "list_things_all"),
        ("x" * 100, "x" * 64),
        ("\u00e9\u00e9", "get_a_b"),
        ("", "get_a_b"),
        (7, "get_a_b"),
    ],
)
def test_a_name_is_the_documents_own_made_safe(operation_id: Any, name: str) -> None:
    """Or made of method and path."""
    document = paths(**{"a/{b}": {"get": {"operationId": operation_id}}})
    assert f"\n{name}:\n" in draft(document)


def test_two_names_stay_two(written: Written) -> None:
    """The second has a number."""
    twice = paths(a={"get": {"operationId": "x"}}, b={"get": {"operationId": "x"}})
    assert {name for _, name in load(written, draft(twice)).tools} == {"x", "x_2"}


def test_paths_that_can_be_confused_are_called_by_name(written: Written) -> None:
    """The later one; so the draft loads."""
    both = paths(**{"{a}/x": {"get": {}}, "y/{b}": {"get": {}}, "y/{c}/z": {"get": {}}})
    tools = load(written, draft(both)).tools.values()
    routed = {one.http.path: one.http.is_routed for one in tools if one.http}
    assert routed == {"/{a}/x": True, "/y/{b}": False, "/y/{c}/z": True}


@pytest.mark.parametrize(
    "text", ["a\nevil: {effect: read}", "a\u2028evil: 1", '"\nevil: 1', "\u202eevil", "# x\n---\n"]
)
def test_a_strangers_text_stays_a_text(written: Written, text: str) -> None:
    """In names, descriptions, enumerations, paths and what is left out."""
    schema = {"type": "string", "enum": [text], "description": text}
    about = {
        "operationId": "one",
        "summary": text,
        "parameters": [{"name": text, "in": "query", "schema": schema}],
    }
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "paths": {"/a": {"get": about}, text: {"get": {}}},
    }
    document["servers"] = [{"url": f"https://a.test/{text}"}]
    (tool,) = load(written, draft(document)).tools.values()
    assert tool.tool == "one"
    assert tool.http is not None
    assert tool.http.query == (text,)


def test_yaml_is_read_too(written: Written) -> None:
    """With keys that are numbers, and references of YAML itself."""
    text = """
openapi: 3.0.3
x-common: &id {name: id, in: path, required: true, schema: {type: integer, nullable: true}}
paths:
  /items/{id}:
    parameters: [*id]
    get: {operationId: get_item, responses: {200: {description: ok}}}
"""
    made = load(written, draft_openapi("api", text.encode(), "api.yaml")).tools["api", "get_item"]
    assert made.document["input_schema"]["properties"] == {"id": {"type": ["integer", "null"]}}
