"""Arguments go to their places and nowhere else."""

import json
from typing import Any
from urllib.parse import parse_qsl

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.errors import ConfigError, UpstreamFailed
from proxy.model.tool import HttpBinding
from proxy.upstream.placement import Placed, Placement, placement_of

SEARCH = Placement(HttpBinding("GET", "/{kind}/search", query=("q", "tag", "limit")))
INSERT = Placement(HttpBinding("POST", "/{table}", query=("dry",), body=("rows", "note")))


def canonical(**values: object) -> bytes:
    return json.dumps(values, separators=(",", ":"), sort_keys=True).encode()


def test_every_argument_has_its_place() -> None:
    """Path, query and body take the arguments that name them."""
    placed = INSERT.place(b'{"dry":true,"note":"n","rows":[{"a":1}],"table":"t"}')
    assert placed == Placed("/t", "dry=true", b'{"note":"n","rows":[{"a":1}]}')


def test_an_argument_may_have_another_name_in_the_request() -> None:
    """In query, body and headers; a body of new names is canonical again."""
    names = (("body_z", "a"), ("id_body", "id"), ("page", "p age"), ("tag", "If-Match"))
    binding = HttpBinding(
        "PUT", "/{id}", query=("page",), body=("body_z", "id_body"), headers=("tag",), names=names
    )
    placed = Placement(binding).place(b'{"body_z":1.5,"id":"7","id_body":8,"page":2,"tag":"v"}')
    assert placed == Placed("/7", "p%20age=2", b'{"a":1.5,"id":8}', {"If-Match": "v"})


def test_a_body_is_sorted_by_its_new_names() -> None:
    """By UTF-16 code units, as RFC 8785 has it."""
    names = (("a", "\U0001f600"), ("b", "\ufb33"))
    placed = Placement(HttpBinding("POST", "/", body=("a", "b"), names=names)).place(
        b'{"a":1,"b":2}'
    )
    assert placed.body == '{"\U0001f600":1,"\ufb33":2}'.encode()


def test_a_header_argument_that_is_absent_sets_none() -> None:
    """And one that is no scalar is refused."""
    placement = Placement(HttpBinding("GET", "/", headers=("If-Match",)))
    assert placement.place(b"{}").headers == {}
    with pytest.raises(UpstreamFailed, match="If-Match"):
        placement.place(b'{"If-Match":["a"]}')


def test_an_argument_without_a_place_is_refused() -> None:
    """Nothing the policy saw is dropped on the way."""
    with pytest.raises(UpstreamFailed, match="extra"):
        INSERT.place(b'{"extra":1,"table":"t"}')


def test_a_body_of_all_arguments_is_sent_as_it_is() -> None:
    """The canonical bytes themselves are the body."""
    arguments = b'{"a":0.1,"b":"\xc3\xa9"}'
    placement = Placement(HttpBinding("PUT", "/x", body=("a", "b")))
    assert placement.place(arguments).body is arguments


@given(
    st.dictionaries(
        st.sampled_from(["a", "b", "é", "z", "\U0001f600"]),
        st.floats(allow_nan=False, allow_infinity=False) | st.text() | st.lists(st.booleans()),
    )
)
def test_part_of_a_canonical_object_is_canonical(values: dict[str, Any]) -> None:
    """A body of some arguments is what RFC 8785 makes of them."""
    placement = Placement(HttpBinding("POST", "/{path}", body=tuple(values)))
    placed = placement.place(rfc8785.dumps({**values, "path": "p"}))
    assert placed.body == (rfc8785.dumps(values) if values else None)


@pytest.mark.parametrize(
    "arguments",
    [
        b"",
        b"{",
        b"[]",
        b'{"table":"t"',
        b'{"table": "t"}',
        b'{ "table":"t"}',
        b'{"table":"t" }',
        b'{"table":"t","table":"u"}',
        b'{"table"="t"}',
        b'{"table":"t",}',
        b'{"table":"t"}{}',
        b'{"table":"t","rows":' + b"[" * 100_000,
    ],
)
def test_what_is_not_canonical_is_refused(arguments: bytes) -> None:
    """Spaces, duplicate names and broken objects never come from the pipeline."""
    with pytest.raises(UpstreamFailed, match="canonical"):
        INSERT.place(arguments)


def test_a_body_without_its_arguments_is_empty() -> None:
    """A tool that takes a body gets one, even an empty object."""
    assert INSERT.place(b'{"table":"t"}') == Placed("/t", "", b"{}")


def test_a_tool_without_a_body_sends_none() -> None:
    """Not even an empty one."""
    assert SEARCH.place(b'{"kind":"a"}').body is None


@pytest.mark.parametrize(
    ("value", "query"),
    [
        ("a b&c=d", "q=a%20b%26c%3Dd"),
        ("a#b?c+d", "q=a%23b%3Fc%2Bd"),
        ("", "q="),
        ("é", "q=%C3%A9"),
        (True, "q=true"),
        (False, "q=false"),
        (10, "q=10"),
        (0.1, "q=0.1"),
        (1e21, "q=1e%2B21"),
        (["a", 1, True], "q=a&q=1&q=true"),
    ],
)
def test_the_query_is_encoded(value: object, query: str) -> None:
    """Text, numbers as in RFC 8785, lower-case booleans, lists as repeated names."""
    assert SEARCH.place(canonical(kind="a", q=value)).query == query


@pytest.mark.parametrize(
    "value", [None, {}, [], [None], [["a"]], "a\r\nb", "a\nb", "a\x00b", "\ud800", ["a\nb"]]
)
def test_what_cannot_stand_in_a_query_is_refused(value: object) -> None:
    """Line breaks, NUL, null, objects and what would vanish."""
    with pytest.raises(UpstreamFailed, match="q"):
        SEARCH.place(canonical(kind="a", q=value))


@pytest.mark.parametrize("value", [None, {}, ["a"]])
def test_what_cannot_stand_in_a_path_is_refused(value: object) -> None:
    """A segment is text, a number or a boolean."""
    with pytest.raises(UpstreamFailed, match="kind"):
        SEARCH.place(canonical(kind=value))


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["q", "tag"]), st.text()), max_size=2, unique_by=id))
def test_a_query_reads_back_as_it_was(pairs: list[tuple[str, str]]) -> None:
    """Whatever the text, no second parameter comes of it."""
    values = dict(pairs)
    try:
        query = SEARCH.place(canonical(kind="a", **values)).query
    except UpstreamFailed:
        return
    assert dict(parse_qsl(query, keep_blank_values=True)) == values


@pytest.mark.parametrize(
    "binding",
    [
        HttpBinding("GET", "/{a}", query=("a",)),
        HttpBinding("POST", "/", query=("a",), body=("a",)),
        HttpBinding("POST", "/", body=("a", "a")),
        HttpBinding("GET", "/", body=("a",)),
        HttpBinding("GET", "/", query=("a", "b"), names=(("a", "b"),)),
        HttpBinding("GET", "/", headers=("A", "b"), names=(("b", "a"),)),
        HttpBinding("GET", "/{a}", headers=("a",)),
        HttpBinding("CONNECT", "/"),
        HttpBinding("get", "/"),
        HttpBinding("GET\r\n", "/"),
        HttpBinding("GET", "/../"),
    ],
)
def test_bindings_that_contradict_themselves(binding: HttpBinding) -> None:
    """Two places for one argument, a body where there is none, an unknown method."""
    with pytest.raises(ConfigError):
        Placement(binding)


def test_a_placement_is_made_once() -> None:
    """Equal bindings share it."""
    assert placement_of(HttpBinding("GET", "/a")) is placement_of(HttpBinding("GET", "/a"))
