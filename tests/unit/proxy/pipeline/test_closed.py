"""What a schema does not name is refused, whatever draft it is written in."""

from typing import Any

import pytest

from proxy.pipeline.closed import validators_of

OLDER = {
    "draft-04": "http://json-schema.org/draft-04/schema#",
    "draft-06": "http://json-schema.org/draft-06/schema#",
    "draft-07": "http://json-schema.org/draft-07/schema#",
    "by https": "https://json-schema.org/draft-07/schema",
}
NEWER = {
    "2019-09": "https://json-schema.org/draft/2019-09/schema",
    "2020-12": "https://json-schema.org/draft/2020-12/schema",
}
A = {"properties": {"a": {"type": "integer"}}}
DEFINED = {"definitions": {"x": A, "open": {"additionalProperties": True}}}

# A schema, arguments that it takes, arguments that it does not.
EVERY: dict[str, tuple[Any, Any, Any]] = {
    "members": (A, {"a": 1}, {"a": 1, "b": 1}),
    "nothing": ({"type": "object"}, {}, {"b": 1}),
    "another type": (A, {"a": 1}, {"a": "1"}),
    "a pattern": ({"patternProperties": {"^k": {}}}, {"k1": 1}, {"b": 1}),
    "others of a type": ({"additionalProperties": {"type": "integer"}}, {"b": 1}, {"b": "1"}),
    "no others": (A | {"unevaluatedProperties": False}, {"a": 1}, {"b": 1}),
    "a reference": (DEFINED | {"$ref": "#/definitions/x"}, {"a": 1}, {"b": 1}),
    "a reference in a member": (
        DEFINED | {"properties": {"p": {"$ref": "#/definitions/x"}}},
        {"p": {"a": 1}},
        {"p": {"a": "1"}},
    ),
    "a branch that takes others": (
        DEFINED | {"allOf": [{"$ref": "#/definitions/open"}]},
        {"b": 1},
        1,
    ),
    "all of": ({"allOf": [A, {"properties": {"b": {}}}]}, {"a": 1, "b": 1}, {"c": 1}),
    "any of": (
        A | {"anyOf": [{"required": ["a"]}, {"properties": {"b": {}}, "required": ["b"]}]},
        {"b": 1},
        {"a": 1, "c": 1},
    ),
    "one of": ({"oneOf": [A, {"type": "null"}]}, {"a": 1}, {"a": 1, "c": 1}),
}
ONLY_OLDER: dict[str, tuple[Any, Any, Any]] = {
    "a word of later drafts": (A | {"unevaluatedProperties": True}, {"a": 1}, {"b": 1}),
    "words beside a reference": (
        DEFINED | {"$ref": "#/definitions/x", "additionalProperties": True},
        {"a": 1},
        {"b": 1},
    ),
    "a branch that may not apply": (
        {"anyOf": [A, DEFINED["definitions"]["open"]]},
        {"a": 1},
        {"b": 1},
    ),
    "dependencies": (
        {"properties": {"a": {}}, "dependencies": {"a": {"properties": {"w": {}}}, "w": ["a"]}},
        {"a": 1, "w": 1},
        {"a": 1, "b": 1},
    ),
    "a pair": (
        {"properties": {"p": {"items": [{"type": "integer"}, {}], "additionalItems": False}}},
        {"p": [1, "x"]},
        {"p": [1, 2, 3]},
    ),
}
LOST = {
    "another document": {"$ref": "https://example.org/schema"},
    "a circle": {"allOf": [{"$ref": "#"}]},
    "an absent definition": {"$ref": "#/definitions/none"},
    "what is no schema": {"type": 7},
    "what is no list": {"$ref": "#/title", "title": {"allOf": 7}},
    "what has no members": {"$ref": "#/title", "title": {"dependencies": []}},
}


def fits(schema: dict[str, Any], arguments: Any) -> bool:
    return all(one.is_valid(arguments) for one in validators_of(schema))


@pytest.mark.parametrize("draft", [*OLDER.values(), *NEWER.values()])
@pytest.mark.parametrize(("schema", "taken", "refused"), EVERY.values(), ids=EVERY)
def test_only_what_a_schema_names_is_taken(
    draft: str, schema: dict[str, Any], taken: Any, refused: Any
) -> None:
    """In every draft, and each value as its schema wants it."""
    closed = {"$schema": draft, "type": "object", **schema}
    assert fits(closed, taken)
    assert not fits(closed, refused)


@pytest.mark.parametrize("draft", OLDER.values(), ids=OLDER)
@pytest.mark.parametrize(("schema", "taken", "refused"), ONLY_OLDER.values(), ids=ONLY_OLDER)
def test_older_drafts_have_words_of_their_own(
    draft: str, schema: dict[str, Any], taken: Any, refused: Any
) -> None:
    """They are read as those drafts mean them."""
    assert fits({"$schema": draft, **schema}, taken)
    assert not fits({"$schema": draft, **schema}, refused)


def test_the_first_draft_of_all_keeps_its_limits() -> None:
    """In draft-04 `exclusiveMinimum` is no number."""
    limited = {"properties": {"n": {"minimum": 1, "exclusiveMinimum": True}}}
    assert fits({"$schema": OLDER["draft-04"], **limited}, {"n": 2})
    assert not fits({"$schema": OLDER["draft-04"], **limited}, {"n": 1})


def test_cases_name_members() -> None:
    """Which only draft-07 asks for, of the older ones."""
    cases = {"if": {"required": ["a"]}, "then": A, "else": {"properties": {"e": {"type": "null"}}}}
    schema = {"$schema": OLDER["draft-07"], **cases}
    assert fits(schema, {"a": 1})
    assert fits(schema, {"e": None})
    assert not fits(schema, {"e": 1})
    assert not fits(schema, {"b": 1})


@pytest.mark.parametrize("schema", LOST.values(), ids=LOST)
def test_names_that_cannot_be_followed_are_refused(schema: dict[str, Any]) -> None:
    """What is open by mistake looks like what is closed."""
    with pytest.raises(ValueError):  # noqa: PT011 the library's words, or ours
        validators_of({"$schema": OLDER["draft-07"], **schema})


def test_a_schema_of_an_unknown_draft_is_refused() -> None:
    """Nobody knows what its words mean."""
    with pytest.raises(ValueError, match="Unknown meta-schema"):
        validators_of({"$schema": "http://json-schema.org/draft-03/schema#"})


@pytest.mark.parametrize("draft", [OLDER["draft-07"], NEWER["2020-12"]])
@pytest.mark.parametrize("address", ["http://127.0.0.1:9/schema", "file:///etc/hostname"])
def test_nothing_is_fetched_for_a_schema(draft: str, address: str) -> None:
    """A server could name any address, and change its schema after the review."""
    schema = {"$schema": draft, "properties": {"a": {"$ref": address}}}
    with pytest.raises(ValueError, match="Retrieval is disabled"):
        validators_of(schema)
