"""Parameters and bodies as arguments."""

from typing import Any

import pytest

from proxy.pdp.openapi_arguments import Argument, Reading, read_arguments
from proxy.pdp.openapi_document import Document, LeftOut, Operation
from proxy.pdp.openapi_schema import Schemas

TEXT = {"type": "string"}
LIST = {"type": "array", "items": TEXT}
COLOUR = {"$ref": "#/components/schemas/Colour"}
MAYBE_COLOURS = {"anyOf": [{"type": "array", "items": COLOUR}, {"type": "null"}]}
COMPONENTS: dict[str, Any] = {
    "schemas": {
        "Colour": {"type": "integer", "enum": [1, 2]},
        "Base": {"type": "object", "required": ["id"], "properties": {"id": TEXT, "x": TEXT}},
        "Item": {
            "allOf": [
                {"$ref": "#/components/schemas/Base"},
                {"properties": {"name": TEXT}, "required": ["name", "x"]},
            ]
        },
    },
    "parameters": {"page": {"name": "page", "in": "query", "schema": {"type": "integer"}}},
    "requestBodies": {
        "item": {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Item"}}},
        }
    },
}


def read(about: dict[str, Any], path: tuple[str, ...] = (), **more: Any) -> Reading:
    document = Document({"openapi": "3.1.0", "paths": {}, "components": COMPONENTS}, "api")
    reading = Reading(document, Schemas(document))
    operation = Operation(more.get("method", "POST"), "/", more.get("item", {}), about)
    read_arguments(reading, operation, list(path))
    return reading


def parameter(name: str, place: str, **more: Any) -> dict[str, Any]:
    return {"parameters": [{"name": name, "in": place, "schema": TEXT} | more]}


def body(schema: Any, media: str = "application/json", **more: Any) -> dict[str, Any]:
    return {"requestBody": {"content": {media: {"schema": schema}}} | more}


@pytest.mark.parametrize(
    ("about", "argument"),
    [
        (parameter("q", "query"), Argument("q", "query", TEXT, False)),
        (parameter("q", "query", required=True), Argument("q", "query", TEXT, True)),
        (parameter("any", "query", schema=True), Argument("any", "query", True, False)),
        (parameter("tags", "query", schema=LIST), Argument("tags", "query", LIST, False)),
        (parameter("If-Match", "header"), Argument("If-Match", "headers", TEXT, False)),
        (parameter("q", "query", description="Why\nnot"),
         Argument("q", "query", TEXT | {"description": "Why not"}, False)),
        ({"parameters": [{"$ref": "#/components/parameters/page"}]},
         Argument("page", "query", {"type": "integer"}, False)),
        (parameter("c", "query", schema=COLOUR),
         Argument("c", "query", {"type": "integer", "enum": [1, 2]}, False)),
        (parameter("c", "query", schema=MAYBE_COLOURS),
         Argument("c", "query", {"anyOf": [{"type": "array", "items": {"type": "integer",
                  "enum": [1, 2]}}, {"type": "null"}]}, False)),
    ],
)  # fmt: skip
def test_a_parameter_is_an_argument(about: dict[str, Any], argument: Argument) -> None:
    """Its type stands where the door reads it: outermost layers are no references."""
    assert read(about).arguments == [argument]


def test_places_of_the_path_come_first_and_are_required() -> None:
    """One that is not described is a text."""
    about = {
        "parameters": [
            {"name": "q", "in": "query", "schema": TEXT},
            {"name": "id", "in": "path", "schema": {"type": "integer"}},
        ]
    }
    found = read(about, ("id", "other")).arguments
    assert found[:2] == [
        Argument("id", "path", {"type": "integer"}, True),
        Argument("other", "path", TEXT, True),
    ]


def test_an_operation_overrides_its_path() -> None:
    """By name and place."""
    both = {"parameters": [{"name": "q", "in": "query", "schema": {"type": "integer"}}]}
    item = {"parameters": [{"name": name, "in": "query", "schema": TEXT} for name in ("q", "r")]}
    found = {one.name: one.schema for one in read(both, item=item).arguments}
    assert found == {"q": {"type": "integer"}, "r": TEXT}


UNSUPPORTED: list[tuple[dict[str, Any], str]] = [
    (parameter("s", "cookie"), "parameter s: parameters in cookie are not supported"),
    (parameter("q", "query", style="deepObject"), "parameter q: its style deepObject is"),
    (parameter("q", "query", schema={"type": "object"}), "parameter q: objects"),
    (
        parameter("q", "query", schema={"anyOf": [{"properties": {"a": {}}}]}),
        "parameter q: objects",
    ),
    (parameter("q", "query", schema=LIST, explode=False), "parameter q: lists in one"),
    (parameter("X-List", "header", schema=LIST), "parameter X-List: objects, and lists"),
    ({"parameters": [{"name": "q", "in": "query", "content": {}}]}, "parameter q: it is described"),
    (parameter("", "query"), "parameter : its name is empty"),
    (parameter("q", "query", schema={"$ref": "other.yaml"}), "parameter q: it refers to another"),
]


@pytest.mark.parametrize(("about", "told"), UNSUPPORTED)
def test_what_is_not_supported_is_told(about: dict[str, Any], told: str) -> None:
    """An optional parameter is left out."""
    reading = read(about)
    assert reading.arguments == []
    assert reading.left_out[0].startswith(told)


@pytest.mark.parametrize("about", [about for about, _ in UNSUPPORTED])
def test_what_is_needed_and_not_supported_ends_it(about: dict[str, Any]) -> None:
    """A tool that could never be called is no tool."""
    needed = {"parameters": [about["parameters"][0] | {"required": True}]}
    with pytest.raises(LeftOut, match="it needs the parameter"):
        read(needed)


@pytest.mark.parametrize("name", ["Authorization", "Cookie", "Accept", "X-Forwarded-For"])
def test_headers_of_the_gateway_are_no_arguments(name: str) -> None:
    """Even if the document says that they are needed."""
    reading = read(parameter(name, "header", required=True))
    assert (reading.arguments, len(reading.left_out)) == ([], 1)


def test_members_of_the_body_are_arguments() -> None:
    """Those of all its parts; each part says what is needed."""
    found = read({"requestBody": {"$ref": "#/components/requestBodies/item"}}).arguments
    assert {one.name: one.is_required for one in found} == {"id": True, "x": True, "name": True}
    assert {one.place for one in found} == {"body"}


@pytest.mark.parametrize("media", ["application/json; charset=utf-8", "APPLICATION/JSON", "*/*"])
def test_json_is_known_by_its_type(media: str) -> None:
    """Whatever its parameters."""
    assert read(body({"properties": {"a": TEXT}}, media)).arguments[0].name == "a"


def test_open_objects_are_closed() -> None:
    """And it is told."""
    reading = read(body({"properties": {"a": TEXT}, "additionalProperties": True}))
    assert [one.name for one in reading.arguments] == ["a"]
    assert reading.left_out == ["members of the body that the description does not name"]


BODIES: list[tuple[Any, str]] = [
    (body({"properties": {"a": TEXT}}, "multipart/form-data"), "multipart/form-data is not"),
    (body({"type": "array"}), "it is no object with fixed members"),
    (body({"oneOf": [{}]}), "it is no object with fixed members"),
    (body({"type": "object"}), "it has no fixed members"),
    (body({"properties": {"x" * 129: TEXT}}), "a member's name is empty or too long"),
    ({"requestBody": {"content": {}}}, "its type is not supported"),
    ({"requestBody": {"content": 7}}, "its type is not supported"),
]


@pytest.mark.parametrize(("about", "told"), BODIES)
def test_other_bodies_are_left_out(about: Any, told: str) -> None:
    """Told when the body is optional; otherwise the operation is left out."""
    assert read(about).left_out[-1].startswith(f"the body: {told}")
    needed = {"requestBody": about["requestBody"] | {"required": True}}
    with pytest.raises(LeftOut, match="it needs its body"):
        read(needed)


def test_a_get_has_no_body() -> None:
    """RFC 9110 section 9.3.1."""
    assert read(body({"properties": {"a": TEXT}}), method="GET").left_out == [
        "the body: a GET has none"
    ]
