"""The model of the kill lease itself: all of the safe one is searched, every mutant is caught."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.model.cases import CASES, Case
from tests.model.verify import BuildFailed, verify

PLAIN_READ = next(case for case in CASES if case.name == "plain read")


@pytest.mark.slow
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_model_shows_what_it_has_to(case: Case, tools: tuple[str, str], tmp_path: Path) -> None:
    """The safe model holds, exhaustively; each mutant breaks its claim."""
    result = verify(*tools, case, tmp_path)
    assert result.ok, result.verdict


def test_a_mutant_is_caught_by_the_claim_it_breaks(tools: tuple[str, str], tmp_path: Path) -> None:
    """The smallest one, in seconds, with a trail to replay."""
    result = verify(*tools, PLAIN_READ, tmp_path)
    assert (result.verdict, result.ok) == ("breaks INTENT", True)
    assert (tmp_path / "mutant_plain_read/kill_lease.pml.trail").exists()


def test_a_mutant_that_breaks_another_claim_is_not_taken_for_caught(
    tools: tuple[str, str], tmp_path: Path
) -> None:
    """Failing for another reason shows nothing of the guard."""
    result = verify(*tools, replace(PLAIN_READ, breaks="PUSH"), tmp_path)
    assert (result.verdict, result.ok) == ("breaks INTENT", False)


def test_a_model_that_does_not_build_is_told(tools: tuple[str, str], tmp_path: Path) -> None:
    """A macro that breaks the syntax: Spin's words are the message."""
    with pytest.raises(BuildFailed, match="syntax error"):
        verify(*tools, replace(PLAIN_READ, macro="epoch=0"), tmp_path)
