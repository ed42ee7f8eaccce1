"""The page on checking policies: its commands have these options, its repository is there."""

import re
import shlex
from pathlib import Path

import pytest

from tests.harness.commands import options_of

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/how-to/check-policies-in-a-repository.md").read_text()
LINES = re.findall(r"^\$ detent policy (.*)$", PAGE, re.MULTILINE)


def test_the_page_shows_the_three_questions() -> None:
    """And names a directory that exists."""
    assert [line.split()[0] for line in LINES] == ["replay", "boundaries", "diff"]
    assert (ROOT / "examples/policy-repo/scripts/review.sh").exists()


@pytest.mark.parametrize("line", LINES)
def test_commands_take_the_options_of_the_page(line: str) -> None:
    """By the names they have there."""
    name, *words = shlex.split(line)
    known = options_of("policy", name)
    assert {word for word in words if word.startswith("--")} <= known


def test_every_constraint_has_its_edges_on_the_page() -> None:
    """None is forgotten when one is added."""
    schema = (ROOT / "policies/rules/argument_constraints/argument_constraints.rego").read_text()
    kinds = re.findall(r'^\t"(\w+)": "', schema, re.MULTILINE)
    assert kinds
    assert all(f"`{kind}`" in PAGE for kind in kinds)
