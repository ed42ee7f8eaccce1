"""One operation of an OpenAPI document as one HTTP tool."""

import re
from dataclasses import dataclass
from typing import Any

import jsonschema_rs

from proxy.model.route import split_template
from proxy.pdp.openapi_arguments import (
    MAX_DESCRIPTION_CHARS,
    MAX_NAME_CHARS,
    Argument,
    Reading,
    read_arguments,
)
from proxy.pdp.openapi_document import METHODS, Document, LeftOut, Operation
from proxy.pdp.openapi_schema import Schemas
from proxy.pdp.yaml_text import one_line

_LITERAL = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})*")


@dataclass(frozen=True, slots=True)
class Tool:
    """What an operation becomes. `arguments` by their names; `left_out` says what is missing."""

    method: str
    path: str
    description: str
    arguments: dict[str, Argument]
    defs: dict[str, Any]
    left_out: tuple[str, ...]

    def placed(self, place: str) -> list[str]:
        """Return the arguments of a place."""
        return [name for name, one in self.arguments.items() if one.place == place]

    def names(self) -> dict[str, str]:
        """Return what arguments are called on the wire where it is not their own name."""
        return {name: one.name for name, one in self.arguments.items() if one.name != name}

    def input_schema(self) -> dict[str, Any]:
        """Return the closed schema of the arguments."""
        required = [name for name, one in self.arguments.items() if one.is_required]
        schema: dict[str, Any] = {"type": "object", "additionalProperties": False}
        if required:
            schema["required"] = required
        schema["properties"] = {name: one.schema for name, one in self.arguments.items()}
        return schema | ({"$defs": self.defs} if self.defs else {})


def tool_of(document: Document, operation: Operation) -> Tool:
    """Return the tool of an operation. Raises LeftOut with the reason."""
    if operation.method.lower() not in METHODS:
        raise LeftOut("the method is none of GET, POST, PUT, PATCH, DELETE")
    reading = Reading(document, Schemas(document))
    read_arguments(reading, operation, _places(operation.path))
    tool = Tool(
        operation.method,
        operation.path,
        _description(operation),
        _named(reading.arguments),
        reading.schemas.defs,
        tuple(reading.left_out),
    )
    _check(tool.input_schema())
    return tool


def _places(path: str) -> list[str]:
    """Return the names in a path template. Raises LeftOut when it is not one of ours."""
    if not path.startswith("/"):
        raise LeftOut("its path does not begin with a slash")
    segments = split_template(path)
    literals = [piece for segment in segments for piece in segment[::2]]
    names = [name for segment in segments for name in segment[1::2]]
    whole = all(_LITERAL.fullmatch(piece) for piece in literals)
    if not whole or len(set(names)) != len(names):
        raise LeftOut("its path has parts that no template of a tool can have")
    if any(segment[0] in ("", ".", "..") and len(segment) == 1 for segment in segments[:-1]):
        raise LeftOut("its path has an empty or dot segment")
    return names


def _named(arguments: list[Argument]) -> dict[str, Argument]:
    """Give each argument a name of its own: two may be called the same in different places."""
    named: dict[str, Argument] = {}
    for one in arguments:
        name, number = one.name, 1
        while name in named:
            suffix = f"_{one.place}" if number == 1 else f"_{one.place}{number}"
            name, number = one.name[: MAX_NAME_CHARS - len(suffix)] + suffix, number + 1
        named[name] = one
    return named


def _description(operation: Operation) -> str:
    for key in ("summary", "description"):
        told = operation.about.get(key)
        if isinstance(told, str) and (line := one_line(told, MAX_DESCRIPTION_CHARS)):
            return line
    return f"{operation.method} {one_line(operation.path, MAX_DESCRIPTION_CHARS)}"


def _check(schema: dict[str, Any]) -> None:
    """Make sure that the gateway can check arguments against it. Raises LeftOut."""
    try:
        jsonschema_rs.validator_for(schema, offline=True)
    except (ValueError, jsonschema_rs.ReferencingError):
        raise LeftOut("its schema is no JSON Schema") from None
