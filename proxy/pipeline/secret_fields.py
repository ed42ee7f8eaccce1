"""Arguments as people may read them: without the fields that a tool's schema calls secret.

JSON Schema has two ways to say so: `"writeOnly": true` (2020-12 Validation, section 9.4) and
`"format": "password"` (OpenAPI 3, data types). Wherever a schema applies to a value, in any branch
of `allOf`, `anyOf`, `oneOf`, `if`, `then` or `else`, the word of one branch is enough.
"""

import json
from collections.abc import Iterator
from typing import Any

import rfc8785

from proxy.pipeline.schema_pointers import pointed_at

REDACTED = "[redacted]"
MAX_STEPS = 10_000

_MARKS = (b"writeOnly", b"password")
_BRANCHES = ("allOf", "anyOf", "oneOf")
_CASES = ("if", "then", "else")
_BY_NAME = ("dependentSchemas", "dependencies")


def without_secrets(arguments: bytes, schema: bytes) -> bytes:
    """Return an RFC 8785 object with `[redacted]` for every secret value in it.

    A schema that cannot be followed to its end leaves nothing to read.
    """
    if not any(mark in schema for mark in _MARKS):
        return arguments
    try:
        root = json.loads(schema)
        shown = _Reader(root).shown(json.loads(arguments), [root])
    except (RecursionError, LookupError, ValueError, TypeError, AttributeError):
        shown = {REDACTED: REDACTED}
    return rfc8785.dumps(shown)


class _Reader:
    """Walks a value and the schemas that apply to it side by side."""

    def __init__(self, root: Any) -> None:
        self._root = root
        self._steps = 0

    def shown(self, value: Any, schemas: list[Any]) -> Any:
        """Return a value as it may be read. Raises LookupError, RecursionError."""
        applied = [one for given in schemas for one in self._applied(given)]
        if any(one.get("writeOnly") is True or one.get("format") == "password" for one in applied):
            return REDACTED
        if isinstance(value, dict):
            return {
                name: self.shown(inner, [found for one in applied for found in _member(one, name)])
                for name, inner in value.items()
            }
        if isinstance(value, list):
            return [
                self.shown(inner, [found for one in applied for found in _item(one, number)])
                for number, inner in enumerate(value)
            ]
        return value

    def _applied(self, schema: Any) -> Iterator[dict[str, Any]]:
        """Yield a schema and every other that it applies to the same value."""
        self._steps += 1
        if self._steps > MAX_STEPS:
            raise RecursionError
        if not isinstance(schema, dict):
            return
        yield schema
        inner = [one for name in _BRANCHES for one in schema.get(name, ())]
        inner += [schema[name] for name in _CASES if name in schema]
        inner += [one for name in _BY_NAME for one in schema.get(name, {}).values()]
        if "$ref" in schema:
            inner.append(pointed_at(self._root, schema["$ref"]))
        if "$dynamicRef" in schema:
            raise LookupError(schema["$dynamicRef"])
        for one in inner:
            yield from self._applied(one)


def _member(schema: dict[str, Any], name: str) -> Iterator[Any]:
    """Yield the schemas of a member; patterns are taken to match, which hides too much at worst."""
    properties = schema.get("properties", {})
    if name in properties:
        yield properties[name]
    else:
        yield schema.get("additionalProperties")
        yield schema.get("unevaluatedProperties")
    yield from schema.get("patternProperties", {}).values()


def _item(schema: dict[str, Any], number: int) -> Iterator[Any]:
    """Yield the schemas of an item; before 2020-12 `items` could be those of the first ones."""
    items, rest = schema.get("items"), schema.get("additionalItems")
    first = items if isinstance(items, list) else schema.get("prefixItems", ())
    yield first[number] if number < len(first) else rest if first is items else items
    yield schema.get("contains")
    yield schema.get("unevaluatedItems")
