"""Objects taken apart as texts."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.model.json_text import Member, members_of, object_of, one_line

NAMES = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | NAMES,
    lambda inner: st.lists(inner) | st.dictionaries(NAMES, inner),
    max_leaves=10,
)


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
