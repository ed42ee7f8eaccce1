"""From an HTTP request to arguments."""

import json
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import BadRequest, UpstreamFailed
from proxy.ingress.canonical import canonical_arguments
from proxy.ingress.http_arguments import Sent, arguments_of
from proxy.model.tool import HttpBinding
from proxy.upstream.placement import Placement

PROPERTIES: dict[str, Any] = {
    "id": {"type": "integer"},
    "q": {"type": "string"},
    "n": {"type": "integer"},
    "x": {"type": "number"},
    "flag": {"type": "boolean"},
    "maybe": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
    "tags": {"type": "array", "items": {"type": "string"}},
    "ids": {"anyOf": [{"type": "array", "items": {"type": "integer"}}, {"type": "null"}]},
    "one_or_more": {"type": ["string", "array"], "items": {"type": "string"}},
    "level": {"enum": [1, 2]},
    "kind": {"const": "a"},
    "any": True,
    "either": {"type": ["integer", "string"]},
    "row": {"type": "object"},
    "id_body": {"type": "string"},
    "If-Match": {"type": "string"},
    "X-Count": {"type": "integer"},
}
QUERY = ("q", "n", "x", "flag", "maybe", "tags", "ids", "one_or_more", "level", "kind", "any",
         "either", "unsaid")  # fmt: skip
BINDING = HttpBinding(
    "PUT",
    "/things/{id}",
    query=QUERY,
    body=("row", "id_body"),
    headers=("If-Match", "X-Count"),
    names=(("id_body", "id"),),
    input_schema=json.dumps({"type": "object", "properties": PROPERTIES}).encode(),
)


def arguments(
    query: str = "", body: bytes = b"", headers: tuple[tuple[bytes, bytes], ...] = ()
) -> dict[str, Any]:
    found = arguments_of(BINDING, Sent({"id": "7"}, query.encode(), headers, body))
    assert found.pop("id") == 7
    return found


def code_of(query: str = "", body: bytes = b"", *headers: tuple[bytes, bytes]) -> str:
    with pytest.raises(BadRequest) as refused:
        arguments(query, body, headers)
    assert refused.value.http == 400
    return refused.value.code


@pytest.mark.parametrize(
    ("query", "value"),
    [
        ("q=7", "7"),
        ("q=true", "true"),
        ("q=", ""),
        ("n=7", 7),
        ("n=-7", -7),
        ("n=0", 0),
        ("n=9007199254740991", 9007199254740991),
        ("x=1.5", 1.5),
        ("x=3", 3),
        ("x=1e-7", 1e-7),
        ("flag=true", True),
        ("flag=false", False),
        ("maybe=3", 3),
        ("tags=a", ["a"]),
        ("tags=a&tags=b", ["a", "b"]),
        ("ids=1&ids=2", [1, 2]),
        ("one_or_more=a", "a"),
        ("one_or_more=a&one_or_more=b", ["a", "b"]),
        ("level=2", 2),
        ("kind=a", "a"),
        ("any=7", "7"),
        ("either=7", "7"),
        ("unsaid=7", "7"),
    ],
)
def test_text_becomes_what_the_schema_says(query: str, value: Any) -> None:
    """And stays text where the schema takes text."""
    (found,) = arguments(query).values()
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    "query",
    [
        "n=",
        "n=+7",
        "n=%2B7",
        "n=07",
        "n=-0",
        "n=7.0",
        "n=1e3",
        "n=0x7",
        "n=1_000",
        "n=%D9%A1",
        "n=9007199254740992",
        "n=" + "9" * 40,
        "x=1.50",
        "x=1.0",
        "x=.5",
        "x=1e400",
        "x=NaN",
        "x=-0.0",
        "x=1e%2B21",
        "flag=True",
        "flag=1",
        "maybe=null",
        "ids=1&ids=x",
        "level=two",
    ],
)
def test_other_spellings_are_refused(query: str) -> None:
    """One spelling for one value: what leaves is what came."""
    assert code_of(query) == "argument-spelling"


def test_a_list_is_taken_only_where_the_schema_says_so() -> None:
    """A reader of the first and a reader of the last would disagree."""
    assert code_of("q=a&q=b") == "duplicate-parameter"
    assert code_of("unsaid=a&unsaid=b") == "duplicate-parameter"


@pytest.mark.parametrize("query", ["row=1", "id=8", "Q=1", "access_token=x", "If-Match=x"])
def test_a_parameter_no_manifest_names_is_refused(query: str) -> None:
    """Also one whose argument has its place elsewhere."""
    assert code_of(query) == "unknown-parameter"


def test_members_of_the_body_are_arguments() -> None:
    """By their names on the wire, with the values strict JSON reads."""
    body = b'{"row":{"a":[1.5]},"id":"9"}'
    assert arguments(body=body) == {"row": {"a": [1.5]}, "id_body": "9"}
    assert arguments(body=b"{}") == {}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"[]", "not-an-object"),
        (b'"x"', "not-an-object"),
        (b"{", "not-json"),
        (b'{"row":1,"row":2}', "duplicate-key"),
        (b'{"row":1e400}', "number-out-of-range"),
        (b'{"id_body":"9"}', "unknown-member"),
        (b'{"q":"9"}', "unknown-member"),
        (b'{"Row":{}}', "unknown-member"),
    ],
)
def test_other_bodies_are_refused(body: bytes, code: str) -> None:
    """What is not JSON, and members that have no place there."""
    assert code_of(body=body) == code


def test_a_tool_without_a_body_takes_none() -> None:
    """Nothing is dropped."""
    with pytest.raises(BadRequest, match="takes no body"):
        arguments_of(HttpBinding("DELETE", "/x"), Sent({}, b"", (), b"{}"))


def test_only_named_headers_are_arguments() -> None:
    """Every other one of the request is the gateway's own business."""
    headers = ((b"if-match", b'"v1"'), (b"x-count", b"3"), (b"cookie", b"a=b"))
    assert arguments(headers=headers) == {"If-Match": '"v1"', "X-Count": 3}
    binding = HttpBinding("GET", "/x")
    assert arguments_of(binding, Sent({}, b"", headers, b"")) == {}


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        (((b"if-match", b"a"), (b"if-match", b"b")), "duplicate-header"),
        (((b"if-match", b""),), "invalid-header"),
        (((b"if-match", b"a\tb"),), "invalid-header"),
        (((b"if-match", b"\xe9"),), "invalid-header"),
        (((b"x-count", b"03"),), "argument-spelling"),
    ],
)
def test_odd_headers_are_refused(headers: tuple[tuple[bytes, bytes], ...], code: str) -> None:
    """Twice, empty, not plain, not canonical."""
    assert code_of("", b"", *headers) == code


def test_a_schema_without_properties_takes_text() -> None:
    """Nothing is coerced by guess."""
    binding = HttpBinding("GET", "/{id}", query=("n",), input_schema=b"{}")
    assert arguments_of(binding, Sent({"id": "7"}, b"n=1", (), b"")) == {"id": "7", "n": "1"}


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


@given(TEXT, st.integers(-(10**6), 10**6), st.lists(TEXT, min_size=1, max_size=3), TEXT)
def test_what_leaves_reads_like_what_came(q: str, n: int, tags: list[str], segment: str) -> None:
    """I19: what the door makes of a placed request is what was placed, and nothing else."""
    binding = HttpBinding(
        "GET", "/a/{name}", query=("q", "n", "tags"), input_schema=BINDING.input_schema
    )
    canonical = canonical_arguments({"name": segment, "q": q, "n": n, "tags": tags})
    try:
        placed = Placement(binding).place(canonical)
    except UpstreamFailed:
        return
    name = unquote(placed.path.removeprefix("/a/"))
    again = arguments_of(binding, Sent({"name": name}, placed.query.encode(), (), b""))
    assert canonical_arguments(again) == canonical
