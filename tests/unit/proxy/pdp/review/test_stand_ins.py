"""Stand-ins: of the same type, equal where values were, and of no use to who lacks the key."""

from typing import Any

import pytest

from proxy.pdp.review.stand_ins import MAX_CHARS, StandIns

STAND_INS = StandIns(b"k" * 32)


@pytest.mark.parametrize("value", ["text", 7, 1.5, 10**30, True, None, ["a", 1], {"a": {"b": "c"}}])
def test_a_stand_in_has_the_type_of_the_value(value: Any) -> None:
    """Numbers become whole numbers that every reader holds exactly."""
    stand_in = STAND_INS.of(value)
    assert type(stand_in) is (int if isinstance(value, float) else type(value))
    assert not isinstance(value, int) or abs(stand_in) < 2**53


def test_equal_values_have_equal_stand_ins_and_others_do_not() -> None:
    """A text of digits is not a number."""
    made = [STAND_INS.of(value) for value in ("a", "a", "b", 1, 2)]
    assert made[0] == made[1]
    assert len(set(map(str, made))) == 4


def test_another_key_makes_other_stand_ins() -> None:
    """Nobody can try values."""
    assert STAND_INS.of("a") != StandIns(b"x" * 32).of("a")
    assert STAND_INS.of_sha256("a") != StandIns(b"x" * 32).of_sha256("a")


@pytest.mark.parametrize(
    ("chars", "kept"), [(1, 23), (64, 23), (65, 65), (4_096, 4_096), (9_999, MAX_CHARS)]
)
def test_a_long_text_keeps_its_length(chars: int, kept: int) -> None:
    """A short one does not tell it; a huge one costs no room."""
    assert len(STAND_INS.of("x" * chars)) == kept


def test_names_stay_when_they_look_like_names() -> None:
    """Others may be data."""
    kept, replaced = STAND_INS.of({"user_name": 1, "a secret": 1})
    assert kept == "user_name"
    assert replaced.startswith("masked-")


def test_names_go_when_that_is_asked_for() -> None:
    """On every level."""
    ((outer, inner),) = STAND_INS.of({"a": {"b": 1}}, names=True).items()
    assert outer.startswith("masked-")
    assert next(iter(inner)).startswith("masked-")


def test_a_hash_is_replaced_by_one() -> None:
    """64 hexadecimal digits."""
    assert len(bytes.fromhex(STAND_INS.of_sha256("0" * 64))) == 32


def test_half_a_character_has_a_stand_in() -> None:
    """A lone surrogate cannot be encoded as UTF-8."""
    assert STAND_INS.of("\ud800") != STAND_INS.of("\ud801")
