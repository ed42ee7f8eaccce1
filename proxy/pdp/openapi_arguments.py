"""The arguments of an operation of an OpenAPI document: its parameters, the members of its body.

What an HTTP tool cannot do (multipart, cookies, styles of serialisation other than the usual one)
is left out and told; an operation that needs it is left out as a whole.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from proxy.model.http_headers import takes_argument
from proxy.pdp.openapi_document import Document, LeftOut, Operation
from proxy.pdp.openapi_schema import Schemas
from proxy.pdp.yaml_text import one_line

MAX_DESCRIPTION_CHARS = 300
MAX_NAME_CHARS = 128
MAX_DEPTH = 6

_JSON = ("application/json", "application/*", "*/*")
_USUAL_STYLE = {"path": "simple", "query": "form", "header": "simple"}
_COMBINED = ("anyOf", "oneOf", "allOf")
_CHOICES = frozenset({"anyOf", "oneOf", "not", "if", "patternProperties"})


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of a tool. `name` on the wire; `place` is path, query, headers or body."""

    name: str
    place: str
    schema: Any
    is_required: bool


@dataclass(slots=True)
class Reading:
    """What is found while one operation is read; `left_out` says what is not."""

    document: Document
    schemas: Schemas
    arguments: list[Argument] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def read_arguments(reading: Reading, operation: Operation, in_path: list[str]) -> None:
    """Fill a reading; `in_path` are the names in the path's template. Raises LeftOut."""
    parameters = list(_parameters(reading.document, operation))
    for name in in_path:
        _read_path(reading, name, parameters)
    for parameter in parameters:
        if parameter.get("in") != "path":
            _read_parameter(reading, parameter)
    if "requestBody" in operation.about:
        _read_body(reading, operation)


def _parameters(document: Document, operation: Operation) -> Iterator[dict[str, Any]]:
    """Yield the parameters, those of the operation before those of its path."""
    seen: set[tuple[str, str]] = set()
    for about in (operation.about, operation.item):
        given = about.get("parameters")
        for one in given if isinstance(given, list) else ():
            parameter = document.resolve(one)
            key = (str(parameter.get("name")), str(parameter.get("in")))
            if key not in seen:
                seen.add(key)
                yield parameter


def _read_path(reading: Reading, name: str, parameters: list[dict[str, Any]]) -> None:
    found = (one for one in parameters if one.get("in") == "path" and one.get("name") == name)
    parameter = next(found, {"name": name, "schema": {"type": "string"}})
    reading.arguments.append(Argument(name, "path", _schema(reading, parameter, "path"), True))


def _read_parameter(reading: Reading, parameter: dict[str, Any]) -> None:
    name, place = str(parameter.get("name", "")), str(parameter.get("in", ""))
    is_required = parameter.get("required") is True
    if place == "header" and not takes_argument(name):
        # Also what the specification itself says to ignore: Accept, Content-Type and the like.
        reading.left_out.append(f"header {name}: it is the gateway's, or a credential's")
        return
    try:
        schema = _schema(reading, parameter, place)
    except LeftOut as why:
        if is_required:
            raise LeftOut(f"it needs the parameter {name}, but {why}") from None
        reading.left_out.append(f"parameter {name}: {why}")
        return
    where = "headers" if place == "header" else place
    reading.arguments.append(Argument(name, where, schema, is_required))


def _schema(reading: Reading, parameter: dict[str, Any], place: str) -> Any:
    """Return the schema of a parameter that can be written there. Raises LeftOut."""
    if place not in _USUAL_STYLE:
        raise LeftOut(f"parameters in {place} are not supported")
    if not 0 < len(str(parameter.get("name", ""))) <= MAX_NAME_CHARS:
        raise LeftOut("its name is empty or too long")
    if "schema" not in parameter:
        raise LeftOut("it is described by a media type")
    if parameter.get("style", _USUAL_STYLE[place]) != _USUAL_STYLE[place]:
        raise LeftOut(f"its style {parameter['style']} is not supported")
    schema = _flat(reading, parameter["schema"])
    kinds = _kinds(schema)
    if "object" in kinds or (place != "query" and "array" in kinds):
        raise LeftOut("objects, and lists outside of the query, are not supported")
    if "array" in kinds and parameter.get("explode", True) is not True:
        raise LeftOut("lists in one parameter are not supported")
    if isinstance(schema, dict) and isinstance(parameter.get("description"), str):
        told = one_line(parameter["description"], MAX_DESCRIPTION_CHARS)
        schema = {**schema, "description": told} if told else schema
    return schema


def _flat(reading: Reading, given: Any) -> Any:
    """Return a converted schema whose outer layers are no references.

    The door reads there what a text may become.
    """
    return reading.schemas.convert(_unfolded(reading, given, 0))


def _unfolded(reading: Reading, given: Any, depth: int) -> Any:
    if not isinstance(given, dict) or depth > MAX_DEPTH:
        return given
    given = dict(reading.document.resolve(given))
    for keyword in _COMBINED:
        if isinstance(given.get(keyword), list):
            given[keyword] = [_unfolded(reading, part, depth + 1) for part in given[keyword]]
    if "items" in given:
        given["items"] = _unfolded(reading, given["items"], depth + 1)
    return given


def _kinds(schema: Any) -> set[str]:
    """Return the JSON types a converted schema names, in its alternatives too."""
    if not isinstance(schema, dict):
        return set()
    named = schema.get("type", [])
    kinds = {named} if isinstance(named, str) else set(named)
    if "properties" in schema or schema.get("additionalProperties"):
        kinds.add("object")
    for keyword in _COMBINED:
        for part in schema.get(keyword, ()):
            kinds |= _kinds(part)
    return kinds


def _read_body(reading: Reading, operation: Operation) -> None:
    """Take the members of a JSON body as arguments. Raises LeftOut when the body is needed."""
    body = reading.document.resolve(operation.about["requestBody"])
    try:
        found = _body_arguments(reading, body, operation.method)
    except LeftOut as why:
        if body.get("required") is True:
            raise LeftOut(f"it needs its body, but {why}") from None
        reading.left_out.append(f"the body: {why}")
        return
    reading.arguments.extend(found)


def _body_arguments(reading: Reading, body: dict[str, Any], method: str) -> list[Argument]:
    if method == "GET":
        raise LeftOut("a GET has none")
    found = list(_members(reading, _json_schema(reading, body)))
    if not found:
        raise LeftOut("it has no fixed members")
    return found


def _json_schema(reading: Reading, body: dict[str, Any]) -> dict[str, Any]:
    content = body.get("content")
    given = content if isinstance(content, dict) else {}
    by_type = {str(name).partition(";")[0].strip().lower(): one for name, one in given.items()}
    for media in _JSON:
        if media in by_type:
            return reading.document.resolve(reading.document.resolve(by_type[media]).get("schema"))
    raise LeftOut(f"{', '.join(sorted(by_type)) or 'its type'} is not supported")


def _members(reading: Reading, schema: dict[str, Any]) -> Iterator[Argument]:
    """Yield the members of an object, those of all its parts together. Raises LeftOut."""
    if schema.get("additionalProperties") not in (None, False):
        reading.left_out.append("members of the body that the description does not name")
    parts = list(_parts(reading, schema, 0))
    required = {name for part in parts for name in reading.schemas.required(part)}
    members: dict[str, Any] = {}
    for part in parts:
        members = reading.schemas.properties(part) | members
    for name, about in members.items():
        if not 0 < len(name) <= MAX_NAME_CHARS:
            raise LeftOut("a member's name is empty or too long")
        yield Argument(name, "body", reading.schemas.convert(about), name in required)


def _parts(reading: Reading, schema: dict[str, Any], depth: int) -> Iterator[dict[str, Any]]:
    """Yield an object's schema and those it has to fit as well. Raises LeftOut."""
    kinds = schema.get("type", "object")
    is_object = kinds == "object" or (isinstance(kinds, list) and "object" in kinds)
    if not is_object or _CHOICES & schema.keys() or depth > MAX_DEPTH:
        raise LeftOut("it is no object with fixed members")
    yield schema
    all_of = schema.get("allOf")
    for part in all_of if isinstance(all_of, list) else ():
        yield from _parts(reading, reading.document.resolve(part), depth + 1)
