import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import BadRequest
from proxy.ingress.strict_json import JsonLimits, parse

REFUSED = [
    (b'{"a":1,"a":2}', "duplicate-key"),
    (b'{"a":1,"\\u0061":2}', "duplicate-key"),
    (b'[{"b":{"a":1,"a":1}}]', "duplicate-key"),
    (b"NaN", "not-json"),
    (b"[Infinity]", "not-json"),
    (b"1e400", "number-out-of-range"),
    (b"-1e400", "number-out-of-range"),
    (b"1e-400", "number-out-of-range"),
    (b"1e-99999999999999999999", "number-out-of-range"),
    (b"9007199254740992", "number-out-of-range"),
    (b"-9007199254740992", "number-out-of-range"),
    (b"9007199254740993.0", "number-out-of-range"),
    (b"9007199254740990.9", "number-out-of-range"),
    (b"18446744073709551616", "number-out-of-range"),
    (b"1" * 30, "number-out-of-range"),
    (b"1" * 5000, "number-out-of-range"),
    (b'"\xff"', "not-utf8"),
    (b'"\xc0\xaf"', "not-utf8"),
    (b'"\xed\xa0\x80"', "not-utf8"),
    (b'"\\ud800"', "not-utf8"),
    (b'"\\udc00"', "not-utf8"),
    (b"\xef\xbb\xbf{}", "not-utf8"),
    ('{"a":1}'.encode("utf-16"), "not-utf8"),
    ('{"a":1}'.encode("utf-32-le"), "not-json"),
    (b'{"a\\u0000":1}', "nul-character"),
    (b'["\\u0000"]', "nul-character"),
    (b'"a\x01b"', "not-json"),
    (b"[" * 65 + b"]" * 65, "too-deep"),
    (b'{"a":' * 65 + b"1" + b"}" * 65, "too-deep"),
    (b"[" * 100_000, "too-deep"),
    (b"[" + b"0," * 50_000 + b"0]", "too-large"),
    (b'{"%b":1}' % (b"k" * 1025), "too-large"),
    (b"", "not-json"),
    (b"{}x", "not-json"),
    (b'{"a":1,}', "not-json"),
    (b"[01]", "not-json"),
    (b"{'a':1}", "not-json"),
]
TAKEN: list[tuple[bytes, Any]] = [
    (b"9007199254740991", 9007199254740991),
    (b"-9007199254740991", -9007199254740991),
    (b"9007199254740991.0", 9007199254740991.0),
    (b"1.0", 1.0),
    (b"-0.0", 0.0),
    (b"0e9", 0.0),
    (b"1e2", 100.0),
    (b"0.1", 0.1),
    (b"5e-324", 5e-324),
    (b'"\\ud83d\\ude00"', "\U0001f600"),
    (b'{"a":[null,true,"\xc3\xa9"]}', {"a": [None, True, "é"]}),
    (b"[" * 64 + b"]" * 64, json.loads("[" * 64 + "]" * 64)),
    (b' {"\\\\u0000":1} ', {"\\u0000": 1}),
]


@pytest.mark.parametrize(("raw", "code"), REFUSED)
def test_what_two_readers_could_understand_differently_is_refused(raw: bytes, code: str) -> None:
    """Each of these has its code, and HTTP status 400."""
    with pytest.raises(BadRequest) as refused:
        parse(raw)
    assert (refused.value.code, refused.value.http) == (code, 400)


@pytest.mark.parametrize(("raw", "value"), TAKEN)
def test_plain_json_is_taken(raw: bytes, value: Any) -> None:
    """Values and their types come out as the standard library's parser gives them."""
    parsed = parse(raw)
    assert (parsed, type(parsed)) == (value, type(value))


def test_a_refusal_never_repeats_the_input() -> None:
    """The name of a duplicate key stays out of the text."""
    with pytest.raises(BadRequest) as refused:
        parse(b'{"hunter2":1,"hunter2":2}')
    assert "hunter2" not in refused.value.detail


def test_commas_inside_strings_are_not_elements() -> None:
    """A long comma-separated text in one argument is one element, escaped quotes or not."""
    text = "\\,\",'," * 20_000
    assert parse(json.dumps([text, "x"]).encode()) == [text, "x"]


def test_elements_are_counted_where_they_are_many() -> None:
    """The limit is on members and items of the whole document together."""
    limits = JsonLimits(max_elements=4)
    assert parse(b'[1,2,{"a":"b,c,d"}]', limits) == [1, 2, {"a": "b,c,d"}]
    with pytest.raises(BadRequest):
        parse(b'[1,2,{"a":1,"b":2,"c":3}]', limits)


def test_a_string_longer_than_the_limit_is_refused() -> None:
    """The limit counts characters."""
    assert parse('"äöü"'.encode(), JsonLimits(max_string_chars=3)) == "äöü"
    with pytest.raises(BadRequest):
        parse(b'"abcd"', JsonLimits(max_string_chars=3))


@pytest.mark.parametrize(
    "raw",
    [
        b"{" + b",".join(b'"%x":1' % i for i in range(2**20 // 10)) + b"}",
        b"[" + b"1," * 2**19 + b"1]",
        b"[" * 2**20,
    ],
    ids=["keys", "items", "nesting"],
)
def test_a_mebibyte_of_elements_costs_next_to_nothing(raw: bytes) -> None:
    """They are counted, not parsed; the bound is generous for slow machines."""
    start = time.process_time()
    with pytest.raises(BadRequest):
        parse(raw)
    assert time.process_time() - start < 0.5


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(-1e15, 1e15)
    | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text("abcé😀"), inner),
    max_leaves=20,
)


@given(JSON_VALUES)
def test_values_survive_the_parser(value: Any) -> None:
    """What the standard library writes within the limits is read back equal."""
    assert parse(json.dumps(value).encode()) == value


@given(st.binary(max_size=60) | JSON_VALUES.map(lambda value: json.dumps(value).encode()))
def test_whatever_is_taken_is_json_of_the_same_value(raw: bytes) -> None:
    """Nothing is read that the standard library does not read in the same way."""
    try:
        value = parse(raw)
    except BadRequest:
        return
    assert value == json.loads(raw)
