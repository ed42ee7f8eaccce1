"""JSON bodies keep their spelling."""

import json

import pytest

from proxy.upstream.json_body import is_json, text_of


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
    assert text_of(body) == body


def test_line_ends_between_tokens_become_spaces() -> None:
    """So that the whole stays one line; inside of strings there are none."""
    assert text_of('{\r\n  "a": "x\\ny"\n}') == '{    "a": "x\\ny" }'


def test_of_two_meanings_the_last_is_kept() -> None:
    """At any depth; everyone behind the gateway reads the same."""
    assert json.loads(text_of('[{"a":1,"a":{"b":2.50,"b":3}}]')) == [{"a": {"b": 3}}]


@pytest.mark.parametrize(
    "body",
    ["", "not json", '{"a":NaN}', "[1,]", "{} {}", '"a\nb"', "[" * 100_000, "9" * 5_000, "\ufeff1"],
)
def test_what_is_no_json_is_refused(body: str) -> None:
    """RFC 8259, and numbers that can be read."""
    with pytest.raises(ValueError, match=r"\S"):
        text_of(body)


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
