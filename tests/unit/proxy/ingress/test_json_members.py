import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.ingress.json_members import array_of, items_of, members_of, text_of
from proxy.model.json_text import object_of

VALUES = st.none() | st.integers() | st.text(max_size=4) | st.lists(st.booleans())
INDENTS = st.sampled_from([None, 1, "\t"])


@given(st.dictionaries(st.text(max_size=4), VALUES), INDENTS)
def test_members_are_split_at_the_top(value: dict[str, Any], indent: Any) -> None:
    """Their texts are JSON of their values, whatever white space stands between."""
    members = members_of(json.dumps(value, indent=indent).encode())
    assert members is not None
    assert {key: json.loads(text) for key, text in members.items()} == value
    assert json.loads(object_of(members)) == value


@given(st.lists(VALUES), INDENTS)
def test_items_are_split_at_the_top(value: list[Any], indent: Any) -> None:
    """And joined again."""
    items = items_of(json.dumps(value, indent=indent))
    assert items is not None
    assert [json.loads(item) for item in items] == value
    assert json.loads(array_of(items)) == value


@pytest.mark.parametrize("raw", [b"", b" ", b"[]", b"1", b"{", b'{"a"', b'{"a":1', b"\xff", b"{]"])
def test_what_is_no_object_has_no_members(raw: bytes) -> None:
    """Broken objects neither."""
    assert members_of(raw) is None


@pytest.mark.parametrize("raw", ["", " ", "{}", "1", "[", "[1", "[1,", "[}"])
def test_what_is_no_array_has_no_items(raw: str) -> None:
    """Broken arrays neither."""
    assert items_of(raw) is None


def test_spellings_survive() -> None:
    """Of numbers and of escapes."""
    members = members_of('{"a": 1.50, "b": "\\u0041"}')
    assert members == {"a": "1.50", "b": '"\\u0041"'}
    assert items_of("[1.50, 2e1]") == ["1.50", "2e1"]


@pytest.mark.parametrize(
    ("value", "text"), [('"a\\n"', "a\n"), ("1", None), (None, None), ("null", None)]
)
def test_only_strings_are_texts(value: str | None, text: str | None) -> None:
    """Unescaped."""
    assert text_of(value) == text
