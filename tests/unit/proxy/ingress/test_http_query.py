"""Query strings, strictly read."""

from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import BadRequest
from proxy.ingress.http_query import MAX_PAIRS, pairs_of


@pytest.mark.parametrize(
    ("query", "pairs"),
    [
        (b"", []),
        (b"a=1&b=", [("a", "1"), ("b", "")]),
        (b"a=1&a=2", [("a", "1"), ("a", "2")]),
        (b"q=a+b%2Bc", [("q", "a b+c")]),
        (b"q=x=y", [("q", "x=y")]),
        (b"f%5Bx%5D=1&f[y]=2", [("f[x]", "1"), ("f[y]", "2")]),
        (b"q=%C3%A9%26%3D%23", [("q", "\u00e9&=#")]),
        (b"q=%2541", [("q", "%41")]),
    ],
)
def test_pairs_are_decoded_once(query: bytes, pairs: list[tuple[str, str]]) -> None:
    """In their order."""
    assert pairs_of(query) == pairs


@pytest.mark.parametrize(
    "query",
    [
        b"a",
        b"&a=1",
        b"a=1&",
        b"a=1&&b=2",
        b"=1",
        b"a=1;b=2",
        b"a=%",
        b"a=%4",
        b"a=%ff",
        b"a=%ed%a0%80",
        b"a=x y",
        b"a=\xc3\xa9",
        b"a=%00",
        b"a=%0d%0aHost:%20evil",
        b"a=%0A",
        b"a%0a=1",
        b'a="x"',
        b"a=1#b",
        b"a=<x>",
        b"&".join([b"a=1"] * (MAX_PAIRS + 1)),
    ],
)
def test_what_two_readers_could_take_differently_is_refused(query: bytes) -> None:
    """Semicolons, names without a value, raw and broken escapes, line ends."""
    with pytest.raises(BadRequest) as refused:
        pairs_of(query)
    assert refused.value.code == "invalid-query"


@given(st.binary(max_size=40))
def test_what_is_taken_reads_the_same_to_the_standard_library(query: bytes) -> None:
    """No pair more, none less."""
    try:
        pairs = pairs_of(query)
    except BadRequest:
        return
    text = query.decode()
    assert pairs == parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text))


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r\n"), min_size=1)


@given(st.lists(st.tuples(TEXTS, TEXTS), max_size=5))
def test_what_the_standard_library_writes_is_read_back(pairs: list[tuple[str, str]]) -> None:
    """An ordinary client is understood."""
    assert pairs_of(urlencode(pairs).encode()) == pairs
