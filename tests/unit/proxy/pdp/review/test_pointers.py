"""Pointers with `*`, and the places they lead to."""

from typing import Any

import pytest

from proxy.pdp.review.pointers import MAX_POINTERS, parse_pointers, places, pointer

DOCUMENT = {"a": [{"b": 1}, {"b": 2}], "*": 3, "c/d~e": {"0": 4}}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("/a/0/b", [("a", 0, "b")]),
        ("/a/*/b", [("a", 0, "b"), ("a", 1, "b")]),
        ("/c~1d~0e/0", [("c/d~e", "0")]),
        ("/*", [("a",), ("*",), ("c/d~e",)]),
        ("/a/2", []),
        ("/a/01", []),
        ("/a/\N{ARABIC-INDIC DIGIT ONE}", []),
        ("/a/" + "9" * 2_000, []),
        ("/a/0/b/c", []),
        ("/", []),
    ],
)
def test_where_a_pointer_leads(text: str, found: list[tuple[Any, ...]]) -> None:
    """Keys and indexes, and to nothing where there is none."""
    (steps,) = parse_pointers([text])
    assert list(places(DOCUMENT, steps)) == found


@pytest.mark.parametrize(
    "value",
    [None, {}, "/a", [1], [""], ["a"], ["/~"], ["/~2"], ["/" + "x" * 3_000], ["/a"] * 5_000],
)
def test_what_is_no_list_of_pointers_is_refused(value: Any) -> None:
    """Whatever a policy says; a pointer to everything is no pointer here."""
    with pytest.raises(ValueError, match="pointer"):
        parse_pointers(value)


def test_a_member_is_looked_up_and_not_searched() -> None:
    """An agent sends many members, of which a policy may name thousands."""

    class Members(dict[str, int]):
        """A wide object that may not be gone through."""

        def __iter__(self) -> Any:
            raise AssertionError

        def items(self) -> Any:
            raise AssertionError

    wide = Members({str(number): number for number in range(10_000)})
    assert list(places(wide, ("77",))) == [("77",)]
    assert list(places({"wide": wide}, ("wide", "none"))) == []


def test_a_place_has_its_pointer() -> None:
    """Which leads back to it, unless a key is a star."""
    assert pointer(("c/d~e", "0", 1)) == "/c~1d~0e/0/1"
    assert MAX_POINTERS == 4_096
