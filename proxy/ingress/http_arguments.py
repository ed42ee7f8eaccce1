"""From an HTTP request to a tool's arguments: each from the one place its manifest names.

What stands in a path, query or header is text. It becomes a number or boolean only where the
tool's schema takes no text, and only in the one spelling RFC 8785 has for it, so that the request
that leaves is spelled like the one that came.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import rfc8785

from proxy.errors import BadRequest
from proxy.ingress.http_query import pairs_of
from proxy.ingress.strict_json import MAX_SAFE_INTEGER, parse
from proxy.model.http_headers import is_plain_value
from proxy.model.tool import HttpBinding

_INTEGER = re.compile(r"-?[1-9][0-9]{0,15}|0")
_NUMBER = re.compile(r"-?[0-9]{1,17}(\.[0-9]{1,30})?(e[+-][0-9]{1,3})?")
_COMBINED = ("anyOf", "oneOf", "allOf")
_JSON_TYPES = {str: "string", bool: "boolean", int: "integer", float: "number"}


@dataclass(frozen=True, slots=True)
class Sent:
    """A request: the text of each place of its path, and all the rest as it came."""

    path: Mapping[str, str]
    query: bytes
    headers: Sequence[tuple[bytes, bytes]]
    body: bytes


@dataclass(frozen=True, slots=True)
class Kinds:
    """The JSON types an argument may have, and those of its items when it may be an array."""

    types: frozenset[str]
    items: frozenset[str]


def arguments_of(binding: HttpBinding, sent: Sent) -> dict[str, Any]:
    """Return the arguments, not yet held against the whole schema.

    Raises BadRequest: invalid-query, unknown-parameter, duplicate-parameter, duplicate-header,
    invalid-header, body-not-taken, not-an-object, unknown-member, argument-spelling, and what
    strict JSON refuses.
    """
    kinds = kinds_of(binding.input_schema)
    return {
        **{name: _scalar(name, text, kinds) for name, text in sent.path.items()},
        **_from_query(binding, sent.query, kinds),
        **_from_headers(binding, sent.headers, kinds),
        **_from_body(binding, sent.body),
    }


@lru_cache(maxsize=1024)
def kinds_of(input_schema: bytes) -> Mapping[str, Kinds]:
    """Return what the schema of a tool says of each argument; of those it says nothing, text."""
    properties = json.loads(input_schema).get("properties", {})
    return {
        name: Kinds(frozenset(_types(about)), frozenset(_item_types(about)))
        for name, about in properties.items()
    }


def _from_query(binding: HttpBinding, query: bytes, kinds: Mapping[str, Kinds]) -> dict[str, Any]:
    arguments = {binding.wire_name(argument): argument for argument in binding.query}
    given: dict[str, list[str]] = {}
    for name, text in pairs_of(query):
        if name not in arguments:
            raise BadRequest("unknown-parameter", "The tool has no query parameter of that name.")
        given.setdefault(arguments[name], []).append(text)
    return {argument: _one_or_more(argument, texts, kinds) for argument, texts in given.items()}


def _from_headers(
    binding: HttpBinding, headers: Iterable[tuple[bytes, bytes]], kinds: Mapping[str, Kinds]
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if not binding.headers:
        return found
    wanted = {binding.wire_name(name).lower().encode(): name for name in binding.headers}
    for name, value in headers:
        argument = wanted.get(name)
        if argument is None:
            continue
        if argument in found:
            raise BadRequest("duplicate-header", "A header that must be single was sent twice.")
        text = value.decode("latin-1")
        if not is_plain_value(text):
            raise BadRequest("invalid-header", "Header values are visible ASCII, not empty.")
        found[argument] = _scalar(argument, text, kinds)
    return found


def _from_body(binding: HttpBinding, body: bytes) -> dict[str, Any]:
    if not body:
        return {}
    if not binding.body:
        raise BadRequest("body-not-taken", "The tool takes no body; send none.")
    members = parse(body)
    if not isinstance(members, dict):
        raise BadRequest("not-an-object", "The body must be a JSON object.")
    arguments = {binding.wire_name(argument): argument for argument in binding.body}
    if not members.keys() <= arguments.keys():
        raise BadRequest("unknown-member", "The body has a member that the tool does not take.")
    return {arguments[name]: value for name, value in members.items()}


def _one_or_more(argument: str, texts: list[str], kinds: Mapping[str, Kinds]) -> Any:
    known = kinds.get(argument)
    if known is None or "array" not in known.types:
        if len(texts) > 1:
            raise BadRequest("duplicate-parameter", "A parameter that is no list was sent twice.")
        return _scalar(argument, texts[0], kinds)
    if len(texts) == 1 and known.types & set(_JSON_TYPES.values()):
        return _scalar(argument, texts[0], kinds)
    return [_read(argument, text, known.items) for text in texts]


def _scalar(argument: str, text: str, kinds: Mapping[str, Kinds]) -> Any:
    known = kinds.get(argument)
    return _read(argument, text, known.types if known else frozenset())


def _read(argument: str, text: str, types: frozenset[str]) -> Any:
    """Return text as a value of one of these types; no type takes text too."""
    if not types or "string" in types:
        return text
    if "boolean" in types and text in ("true", "false"):
        return text == "true"
    if types & {"integer", "number"} and _INTEGER.fullmatch(text):
        whole = int(text)
        if abs(whole) <= MAX_SAFE_INTEGER:
            return whole
    elif "number" in types and _NUMBER.fullmatch(text):
        number = float(text)
        if abs(number) <= MAX_SAFE_INTEGER and rfc8785.dumps(number) == text.encode():
            return number
    detail = f"{argument} must be {' or '.join(sorted(types))}, spelled as in canonical JSON."
    raise BadRequest("argument-spelling", detail)


def _types(schema: Any) -> set[str]:
    """Return the types a schema names, in its alternatives too."""
    if not isinstance(schema, dict):
        return set()
    named = schema.get("type", ())
    found = {named} if isinstance(named, str) else set(named)
    for combined in _COMBINED:
        for part in schema.get(combined, ()):
            found |= _types(part)
    if not found:
        values = [*schema.get("enum", ()), *([schema["const"]] if "const" in schema else ())]
        found = {_JSON_TYPES[type(value)] for value in values if type(value) in _JSON_TYPES}
    return found


def _item_types(schema: Any) -> set[str]:
    if not isinstance(schema, dict):
        return set()
    found = _types(schema.get("items"))
    for combined in _COMBINED:
        for part in schema.get(combined, ()):
            found |= _item_types(part)
    return found
