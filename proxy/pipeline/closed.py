"""Schemas of arguments, closed: what a schema does not name is refused, unless it takes others.

From draft 2019-09 on, `unevaluatedProperties` says so (2020-12 Core, section 11.3). Older drafts
have no such word, and ignore all that stands beside `$ref` (draft-07 Core, section 8.3), so there
a second schema holds the names. It only ever refuses more than the tool's own.
"""

from collections.abc import Iterator
from typing import Any

import jsonschema_rs

from proxy.pipeline.schema_pointers import pointed_at

MAX_STEPS = 10_000

_PATTERNS = jsonschema_rs.FancyRegexOptions(backtrack_limit=10_000)
_LATEST = "https://json-schema.org/draft/2020-12/schema"
_OLDER = (
    jsonschema_rs.Draft4Validator,
    jsonschema_rs.Draft6Validator,
    jsonschema_rs.Draft7Validator,
)

Validators = tuple[jsonschema_rs.Validator, ...]


def validators_of(schema: dict[str, Any]) -> Validators:
    """Return what arguments have to satisfy, all of it. Nothing is fetched for a `$ref`.

    Raises ValueError, ReferencingError when it is no schema, or its names cannot be followed.
    """
    if jsonschema_rs.validator_cls_for(schema) in _OLDER:
        return _validator(schema), _validator(_closing(schema))
    if "additionalProperties" in schema or "unevaluatedProperties" in schema:
        return (_validator(schema),)
    return (_validator({"$schema": _LATEST, **schema, "unevaluatedProperties": False}),)


def _validator(schema: dict[str, Any]) -> jsonschema_rs.Validator:
    return jsonschema_rs.validator_for(schema, pattern_options=_PATTERNS, offline=True)


def _closing(root: dict[str, Any]) -> dict[str, Any]:
    """Return a schema that refuses what one of an older draft names in no branch of it.

    A branch that may not apply can name members, and cannot take others. Raises ValueError.
    """
    closing: dict[str, Any] = {"$schema": root["$schema"], "additionalProperties": False}
    try:
        for schema, is_sure in _in_place(root):
            if is_sure and schema.get("additionalProperties", False) is not False:
                return {"$schema": root["$schema"]}
            for keyword in ("properties", "patternProperties"):
                names = closing.setdefault(keyword, {})
                names.update((name, {}) for name in schema.get(keyword, {}))
    except (LookupError, AttributeError, TypeError) as error:
        raise ValueError("its names cannot be followed") from error
    return closing


def _in_place(root: dict[str, Any]) -> Iterator[tuple[dict[str, Any], bool]]:
    """Yield the schemas of the same object, and whether they apply whatever it holds."""
    waiting: list[tuple[Any, bool]] = [(root, True)]
    steps = 0
    while waiting:
        schema, is_sure = waiting.pop()
        steps += 1
        if steps > MAX_STEPS:
            raise LookupError("a circle")
        if isinstance(schema, dict) and "$ref" in schema:
            waiting.append((pointed_at(root, schema["$ref"]), is_sure))
        elif isinstance(schema, dict):
            yield schema, is_sure
            waiting += ((inner, is_sure) for inner in schema.get("allOf", ()))
            waiting += ((inner, False) for inner in _branches(schema))


def _branches(schema: dict[str, Any]) -> Iterator[Any]:
    for keyword in ("anyOf", "oneOf"):
        yield from schema.get(keyword, ())
    for keyword in ("if", "then", "else"):
        if keyword in schema:
            yield schema[keyword]
    yield from schema.get("dependencies", {}).values()
