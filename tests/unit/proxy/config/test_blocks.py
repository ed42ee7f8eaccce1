import pytest

from proxy.config.blocks import seconds


@pytest.mark.parametrize(
    ("text", "value"), [("250ms", 0.25), ("2s", 2.0), ("5m", 300.0), ("1.5h", 5400.0)]
)
def test_durations_carry_their_unit(text: str, value: float) -> None:
    """Milliseconds, seconds, minutes and hours."""
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["3", 3, "", "s", "1 s", "-1s", "1d"])
def test_a_number_without_unit_is_no_duration(text: object) -> None:
    """Nobody has to guess."""
    with pytest.raises(ValueError, match="unit"):
        seconds(text)
