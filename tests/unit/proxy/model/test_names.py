import pytest

from proxy.model.names import likenesses

ALIKE = [
    ("delete", "\uff44elete"),  # full-width
    ("delete", "d\u0435lete"),  # Cyrillic
    ("delete", "DELETE"),
    ("delete", "de1ete"),
    ("delete", "deIete"),
    ("delete", "de\u200blete"),
    ("delete", "delete\u202e"),
    ("delete", "delet\u0435\u0301"),
    ("delete", "de-lete"),
    ("file", "\ufb01le"),  # ligature
    ("k", "\u212a"),  # Kelvin sign
    ("id", "\u0130d"),
    ("id", "\u0131d"),
    ("open", "\u03bfpen"),  # Greek
    ("help", "\u041d\u0415L\u0420"),
    ("o", "0"),
    ("form", "forrn"),
    ("view", "vievv"),
    ("read_file", "readFile"),
    ("read_file", "read.file"),
]


@pytest.mark.parametrize(("name", "other"), ALIKE)
def test_names_that_look_alike_have_a_likeness_in_common(name: str, other: str) -> None:
    """Other alphabets, case, digits, separators, what cannot be seen."""
    assert likenesses(name) & likenesses(other)


@pytest.mark.parametrize(
    ("name", "other"),
    [("tail", "tall"), ("get1", "get2"), ("read_file", "read_files"), ("list", "last"), ("a", "b")],
)
def test_names_that_differ_stay_apart(name: str, other: str) -> None:
    """A likeness is for the eye, not for the meaning."""
    assert not likenesses(name) & likenesses(other)


def test_an_empty_name_is_like_itself_only() -> None:
    """Nothing to see is one likeness."""
    assert likenesses("") == {""}
