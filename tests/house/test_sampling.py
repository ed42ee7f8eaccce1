"""What CI leaves out of long matrices, and what it never leaves out."""

from tests.sampling import sampled

CASES = [f"a.py::test_many[{n}]" for n in range(50)]
OTHERS = ["a.py::test_one", "b.py::test_many[0]", "b.py::test_many[1]"]


def test_every_test_keeps_some_of_its_cases() -> None:
    """No test vanishes, and none has more than asked for."""
    kept = sampled(CASES + OTHERS, 6)
    assert len(kept & set(CASES)) == 6
    assert kept >= set(OTHERS)


def test_the_sample_depends_on_names_alone() -> None:
    """Processes that see the cases in another order choose the same."""
    assert sampled(CASES[::-1], 6) == sampled(CASES, 6)
    assert sampled(CASES, 4) < sampled(CASES, 6)
