"""Schemas of OpenAPI as JSON Schema 2020-12, the part that says what may be sent.

Schemas that are referred to become `$defs`, so that one that holds itself stays finite. Examples,
titles and everything only people read go; descriptions stay, on one line.
"""

import re
from collections.abc import Callable
from typing import Any

from proxy.pdp.openapi_document import Document, LeftOut
from proxy.pdp.yaml_text import one_line

MAX_NODES = 2_000
MAX_DEPTH = 20
MAX_DESCRIPTION_CHARS = 300

_TYPES = frozenset({"array", "boolean", "integer", "null", "number", "object", "string"})
_NUMBERS = frozenset(
    {
        "exclusiveMaximum",
        "exclusiveMinimum",
        "maxItems",
        "maxLength",
        "maxProperties",
        "maximum",
        "minItems",
        "minLength",
        "minProperties",
        "minimum",
        "multipleOf",
    }
)
_ONE = frozenset(
    {"additionalProperties", "contains", "else", "if", "items", "not", "propertyNames", "then"}
)
_LIST = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
_MAP = frozenset({"dependentSchemas", "patternProperties"})
_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]+")
_EXACT = 10**15  # whole numbers below are the same for every reader of YAML
_TINY = 1e-90


class Schemas:
    """Converts the schemas of one tool; `defs` fills with those that are referred to."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._nodes = 0
        self._names: dict[str, str] = {}
        self.defs: dict[str, Any] = {}

    def convert(self, schema: Any, depth: int = 0) -> Any:
        """Return the schema. Raises LeftOut: too large, too deep, refers elsewhere."""
        self._nodes += 1
        if self._nodes > MAX_NODES or depth > MAX_DEPTH:
            raise LeftOut("its schema is too large to be reviewed")
        if not isinstance(schema, dict):
            return schema if isinstance(schema, bool) else {}
        if "$ref" in schema:
            return self._referred(schema["$ref"], depth)
        made = self._assertions(schema) | self._inside(schema, depth)
        return self._nullable(made) if schema.get("nullable") is True else made

    def properties(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Return the properties a request may have, unconverted: all but the read-only ones."""
        given = schema.get("properties")
        named = given if isinstance(given, dict) else {}
        return {str(name): about for name, about in named.items() if not self._is_read_only(about)}

    def required(self, schema: dict[str, Any]) -> list[str]:
        """Return the names a request must have: all but those of read-only properties."""
        named, required = schema.get("properties"), schema.get("required")
        hidden = set(named if isinstance(named, dict) else ()) - self.properties(schema).keys()
        given = required if isinstance(required, list) else ()
        return sorted({str(name) for name in given} - hidden)

    def _is_read_only(self, about: Any) -> bool:
        if not isinstance(about, dict):
            return False
        return about.get("readOnly") is True or (
            "$ref" in about and self._document.resolve(about).get("readOnly") is True
        )

    def _referred(self, reference: Any, depth: int) -> dict[str, str]:
        found = self._document.at(reference)
        if reference not in self._names:
            name = _UNSAFE.sub("_", reference.rpartition("/")[2]) or "schema"
            while name in self.defs:
                name += "_"
            self._names[reference] = name
            self.defs[name] = {}
            self.defs[name] = self.convert(found, depth + 1)
        return {"$ref": f"#/$defs/{self._names[reference]}"}

    def _assertions(self, schema: dict[str, Any]) -> dict[str, Any]:
        made: dict[str, Any] = {}
        types = _types(schema.get("type"))
        if types:
            made["type"] = types[0] if len(types) == 1 else types
        for keyword, read in _READERS.items():
            if keyword in schema and (value := read(schema[keyword])) is not None:
                made[keyword] = value
        for keyword in sorted(_NUMBERS & schema.keys()):
            if _is_plain_number(schema[keyword]):
                made[keyword] = schema[keyword]
        for edge in ("Maximum", "Minimum"):  # OpenAPI 3.0 says by a boolean that it is exclusive
            if schema.get(f"exclusive{edge}") is True and (bound := edge.lower()) in made:
                made[f"exclusive{edge}"] = made.pop(bound)
        return made

    def _inside(self, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        made: dict[str, Any] = {}

        def one(value: Any) -> Any:
            return self.convert(value, depth + 1)

        for keyword in sorted(_ONE & schema.keys()):
            made[keyword] = one(schema[keyword])
        for keyword in (name for name in sorted(_LIST) if isinstance(schema.get(name), list)):
            made[keyword] = [one(part) for part in schema[keyword]]
        for keyword in (name for name in sorted(_MAP) if isinstance(schema.get(name), dict)):
            made[keyword] = {str(key): one(part) for key, part in schema[keyword].items()}
        properties = self.properties(schema)
        if properties:
            made["properties"] = {name: one(about) for name, about in properties.items()}
        required = schema.get("required")
        if isinstance(required, list) and required:
            made["required"] = self.required(schema)
        return made

    def _nullable(self, made: dict[str, Any]) -> dict[str, Any]:
        """Say as JSON Schema does what OpenAPI 3.0 says by `nullable`."""
        if "type" not in made:
            return {"anyOf": [made, {"type": "null"}]}
        types = made["type"] if isinstance(made["type"], list) else [made["type"]]
        made["type"] = [*types, "null"]
        if "enum" in made and None not in made["enum"]:
            made["enum"] = [*made["enum"], None]
        return made


def _types(given: Any) -> list[str]:
    named = given if isinstance(given, list) else [given]
    return [one for one in named if isinstance(one, str) and one in _TYPES]


def _is_plain_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < _EXACT and (value == 0 or abs(value) > _TINY)


def _is_plain(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, bool | str) or _is_plain_number(value)


def _plain(value: Any) -> Any:
    return value if _is_plain(value) else None


def _values(value: Any) -> list[Any] | None:
    return value if isinstance(value, list) and value and _is_plain(value) else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _told(value: Any) -> str | None:
    return one_line(value, MAX_DESCRIPTION_CHARS) or None if isinstance(value, str) else None


def _true(value: Any) -> bool | None:
    return True if value is True else None


_READERS: dict[str, Callable[[Any], Any]] = {
    "description": _told,
    "format": _text,
    "pattern": _text,
    "enum": _values,
    "const": _plain,
    "default": _plain,
    "uniqueItems": _true,
}
