"""Plain globs against regular expressions that say the same, and against the clock."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.pdp.wasm.globs import is_match

SIZE = 20_000
PATIENCE_S = 10.0  # a regular expression takes longer than a day


def by_expression(pattern: str, delimiters: list[str], text: str) -> bool:
    """Match with an expression; good for small texts."""
    one = f"[^{re.escape(''.join(delimiters))}]*" if delimiters else ".*"
    stars = {"*": one, "**": ".*"}
    parts = (stars.get(part, re.escape(part)) for part in re.split(r"(\*+)", pattern))
    return re.fullmatch("".join(parts), text, re.DOTALL) is not None


@given(
    pattern=st.text("ab/.*", max_size=8).filter(lambda one: "***" not in one),
    delimiters=st.lists(st.sampled_from("/.a"), max_size=3),
    text=st.text("ab/.\n\u00e9", max_size=8),
)
def test_a_glob_matches_what_its_expression_matches(
    pattern: str, delimiters: list[str], text: str
) -> None:
    """The whole text, and no delimiter by one star."""
    assert is_match(pattern, delimiters, text) == by_expression(pattern, delimiters, text)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("*a*a*a*a*b", "\n" + "a" * SIZE),
        ("**/secret/**/secret/**/x", "\n" + "/secret/" * (SIZE // 8)),
        ("*a" * (SIZE // 2) + "b", "a" * SIZE),
    ],
)
def test_a_text_made_to_be_slow_is_not(pattern: str, text: str) -> None:
    """A glob is evaluated by us, where the cut at the deadline cannot reach."""
    began = time.monotonic()
    assert not is_match(pattern, ["."], text)
    assert time.monotonic() - began < PATIENCE_S
