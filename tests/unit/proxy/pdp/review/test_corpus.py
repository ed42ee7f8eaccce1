"""A labelled input is a value."""

from proxy.pdp.review.corpus import LabelledInput


def test_equal_inputs_are_equal() -> None:
    """Label and input are all there is."""
    assert LabelledInput("a", {"x": 1}) == LabelledInput("a", {"x": 1})
    assert LabelledInput("a", {"x": 1}) != LabelledInput("b", {"x": 1})
