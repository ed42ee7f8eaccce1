"""YAML written from what strangers wrote."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.pdp.strict_yaml import load
from proxy.pdp.yaml_text import MAX_COMMENT_CHARS, comment, lines_of, one_line, word

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
KEYS = TEXT.filter(lambda key: key != "<<")  # a merge of blocks: strict YAML has none
NUMBERS = st.integers(-(10**15) + 1, 10**15 - 1) | st.floats(
    -1e15, 1e15, allow_subnormal=False
).filter(lambda number: number == 0 or abs(number) > 1e-90)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=12,
)


def read(value: dict[str, Any]) -> Any:
    return load(("\n".join(lines_of({"root": value})) + "\n").encode(), "draft")["root"]


@given(st.dictionaries(KEYS, VALUES, max_size=4))
def test_a_block_reads_back_as_it_was(value: dict[str, Any]) -> None:
    """Whatever JSON can hold, by the reader that bundles are read with."""
    assert read(value) == value


@pytest.mark.parametrize(
    "value",
    [
        {"a": {"b": []}, "c": {}, "d": [[], {}], "e": [{"f": [1, {"g": None}]}, [["x"]]]},
        {"yes": "no", "1": "1", "0x1": "1e3", "~": "null", "": " ", "a: b": "# c"},
        {"bidi": "\u202e", "line": "a\nb\u2028\x85", "astral": "\U0001f600", "tag": "\U000e0041"},
    ],
)
def test_odd_values_read_back(value: dict[str, Any]) -> None:
    """Empty ones, those YAML has other ideas about, and characters nobody sees."""
    assert read(value) == value


def test_blocks_are_laid_out_for_a_reader() -> None:
    """Plain words plain, short lists on one line."""
    block = {"type": ["string", "null"], "anyOf": [{"type": "object", "x": 1}], "text": "a b"}
    assert list(lines_of(block, 2)) == [
        '  type: [string, "null"]',
        "  anyOf:",
        "    - type: object",
        "      x: 1",
        '  text: "a b"',
    ]


@pytest.mark.parametrize(("text", "scalar"), [("a_b-1", "a_b-1"), ("on", '"on"'), ('"', '"\\""')])
def test_a_word_is_quoted_unless_it_is_one(text: str, scalar: str) -> None:
    """By every reader."""
    assert word(text) == scalar


@pytest.mark.parametrize("text", ["a\nb", "a\r\nb", "a\u2028b", "a\x85b", "a \u202e\u200b b"])
def test_a_text_stays_on_its_line(text: str) -> None:
    """Controls, bidi and invisible characters go."""
    assert one_line(text, 10) == "a b"


def test_a_comment_is_short() -> None:
    """And never ends in a blank."""
    assert len(comment("x" * 5_000)) == MAX_COMMENT_CHARS
    assert comment("x" * (MAX_COMMENT_CHARS - 1) + " y") == "x" * (MAX_COMMENT_CHARS - 1)
