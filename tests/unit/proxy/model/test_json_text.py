"""JSON taken apart as texts, and passed on as it was spelled."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.model.json_text import (
    Member,
    array_of,
    is_json,
    items_of,
    line_of,
    members_of,
    object_of,
    one_line,
    string_of,
    texts_of,
)

NAMES = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | NAMES,
    lambda inner: st.lists(inner) | st.dictionaries(NAMES, inner),
    max_leaves=10,
)
SMALL = st.none() | st.integers() | st.text(max_size=4) | st.lists(st.booleans())
INDENTS = st.sampled_from([None, 1, "\t"])


@given(st.dictionaries(NAMES, VALUES), st.sampled_from([None, 0, 2]))
def test_every_member_keeps_its_value_and_its_text(value: dict[str, Any], indent: int) -> None:
    """However it is written, the texts are the values, on one line each."""
    text = json.dumps(value, indent=indent, allow_nan=True)
    if "Infinity" in text:
        return
    found = members_of(text)
    assert {name: one.value for name, one in found.items()} == value
    assert {name: json.loads(one.text) for name, one in found.items()} == value
    assert all("\n" not in one.text for one in found.values())
    assert json.loads(object_of({name: one.text for name, one in found.items()})) == value


@pytest.mark.parametrize("number", ["1.0", "1e2", "-0", "1E+2", "12345678901234567890", "1e400"])
def test_a_number_keeps_its_spelling(number: str) -> None:
    """Also where no double has its value."""
    assert members_of(f'{{"a" : {number} }}')["a"].text == number


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"a":1.0,"a":2.0}', {"a": "2.0"}),
        ('{"a":{"b":1,"b":2},"c":1.0}', {"a": '{"b":2}', "c": "1.0"}),
        ('{"a":[{"b":1,"\\u0062":2}]}', {"a": '[{"b":2}]'}),
    ],
)
def test_a_name_that_stands_twice_has_one_meaning(text: str, expected: dict[str, str]) -> None:
    """Everybody after us reads what we read."""
    assert {name: one.text for name, one in members_of(text).items()} == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "[]",
        "1",
        "{",
        '{"a"',
        '{"a":',
        '{"a":1',
        '{"a":1,',
        '{"a":1,}',
        "{,}",
        '{"a" 1}',
        '{"a":1 "b":2}',
        "{1:2}",
        '{"a":1}x',
        '{"a":NaN}',
        '{"a":[-Infinity]}',
        '{"a":1,"a":Infinity}',
        '{"a":1,"a":1e400}',
        '{"a":"\n"}',
        '{"a":' + "1" * 5000 + "}",
        '{"a":' + "[" * 100_000,
    ],
)
def test_what_is_no_object_is_refused(text: str) -> None:
    """Broken, cut off, nested without end, or no JSON."""
    with pytest.raises(ValueError, match=r".*"):
        members_of(text)


def test_an_empty_object_has_no_members() -> None:
    """With and without blanks."""
    assert members_of("{}") == members_of(" {\r\n} ") == {}
    assert members_of('{"a":\t"\\n"}') == {"a": Member("\n", '"\\n"')}


def test_line_ends_stand_only_between_tokens() -> None:
    """Those are the only ones a JSON text can have."""
    assert one_line('{\r\n"a":\n"\\n"}') == '{  "a": "\\n"}'


@given(st.dictionaries(st.text(max_size=4), SMALL), INDENTS)
def test_members_are_split_at_the_top(value: dict[str, Any], indent: Any) -> None:
    """Their texts are JSON of their values, whatever white space stands between."""
    members = texts_of(json.dumps(value, indent=indent).encode())
    assert members is not None
    assert {key: json.loads(text) for key, text in members.items()} == value
    assert json.loads(object_of(members)) == value


@given(st.lists(SMALL), INDENTS)
def test_items_are_split_at_the_top(value: list[Any], indent: Any) -> None:
    """And joined again."""
    items = items_of(json.dumps(value, indent=indent))
    assert items is not None
    assert [json.loads(item) for item in items] == value
    assert json.loads(array_of(items)) == value


@pytest.mark.parametrize(
    "raw", [b"", b" ", b"[]", b"1", b"{", b'{"a"', b'{"a":1', b"\xff", b"{]", b'{"a":1}x']
)
def test_what_is_no_object_has_no_members(raw: bytes) -> None:
    """Broken objects neither."""
    assert texts_of(raw) is None


@pytest.mark.parametrize(
    "raw", ["", " ", "{}", "1", "[", "[1", "[1,", "[}", "[1] 2", "[1,]", "[" * 100_000]
)
def test_what_is_no_array_has_no_items(raw: str) -> None:
    """Broken arrays neither."""
    assert items_of(raw) is None


def test_spellings_survive() -> None:
    """Of numbers and of escapes."""
    members = texts_of('{"a": 1.50, "b": "\\u0041"}')
    assert members == {"a": "1.50", "b": '"\\u0041"'}
    assert items_of("[1.50, 2e1]") == ["1.50", "2e1"]


@pytest.mark.parametrize(
    ("value", "text"), [('"a\\n"', "a\n"), ("1", None), (None, None), ("null", None)]
)
def test_only_strings_are_texts(value: str | None, text: str | None) -> None:
    """Unescaped."""
    assert string_of(value) == text


@pytest.mark.parametrize(
    "body",
    [
        '{"a":1.0}',
        "1e2",
        "12345678901234567890",
        ' {"a" : [-0, 1E+2]} ',
        '"\\u00e9\\ud800"',
        "true",
    ],
)
def test_a_body_is_passed_on_as_it_is_spelled(body: str) -> None:
    """Numbers, escapes and blanks."""
    assert line_of(body) == body


def test_line_ends_between_tokens_become_spaces() -> None:
    """So that the whole stays one line; inside of strings there are none."""
    assert line_of('{\r\n  "a": "x\\ny"\n}') == '{    "a": "x\\ny" }'


def test_of_two_meanings_the_last_is_kept() -> None:
    """At any depth; everyone behind the gateway reads the same."""
    assert json.loads(line_of('[{"a":1,"a":{"b":2.50,"b":3}}]')) == [{"a": {"b": 3}}]


@pytest.mark.parametrize(
    "body",
    ["", "not json", '{"a":NaN}', "[1,]", "{} {}", '"a\nb"', "[" * 100_000, "9" * 5_000, "\ufeff1"],
)
def test_what_is_no_json_is_refused(body: str) -> None:
    """RFC 8259, and numbers that can be read."""
    with pytest.raises(ValueError, match=r"\S"):
        line_of(body)


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        ("application/json", True),
        ("Application/Problem+JSON; charset=utf-8", True),
        ("text/json-ish", False),
        ("", False),
    ],
)
def test_a_type_says_whether_it_is_json(content_type: str, expected: bool) -> None:
    """RFC 6839 section 3.1."""
    assert is_json(content_type) == expected
