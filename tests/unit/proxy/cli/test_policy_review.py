"""What replay and diff share: the text for people, the exit code, the comment."""

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from proxy.cli.policy_review import Output, review_options, to_text
from proxy.pdp.review.compare import Difference, Review
from proxy.pdp.review.outcome import Change, Outcome
from proxy.pdp.review.report import Judged

DENY = Outcome("deny", ("path-outside",), (), "null", 0, ())
ALLOW = Outcome("allow", ("role-allows",), (), "null", 0, ())
FLIP = Difference(
    "dec_1", (Change.PERMISSION,), DENY, ALLOW, ("path-outside",),
    {"subject": {"tenant": "acme", "id": "a\x1b[2J"}, "resource": {"id": "s/t"}},
)  # fmt: skip
REVIEW = Review("old", "new", 9, [FLIP], {"the line is broken": list("abcdefg")})


def test_people_read_lines() -> None:
    """Counts, groups, examples, what is missing; no text of an agent moves the cursor."""
    text = to_text(Judged(REVIEW, ("flips: 1, and at most 0 may be",)))
    assert "\x1b" not in text
    assert "       1 new permission" in text.splitlines()
    assert "  path-outside: 1 new permission" in text.splitlines()
    assert "    new permission: deny [path-outside] → allow [role-allows]" in text.splitlines()
    assert "not asked again, because the line is broken: 7 (a, b, c, d, e …)" in text
    assert text.endswith("over the budget: flips: 1, and at most 0 may be")


def test_nothing_to_tell_is_three_lines() -> None:
    """What was compared, and that it is the same."""
    assert len(to_text(Judged(Review("a", "b", 5), ())).splitlines()) == 3


@click.command()
@review_options
def command(output: Output) -> None:
    """Tell the review of this test."""
    output.tell(REVIEW)


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ([], 1),
        (["--max-flips", "1"], 0),
        (["--max-flips", "1", "--max-permissions", "0"], 1),
        (["--max-flips", "1", "--max-refusals", "0", "--max-changes", "0"], 0),
        (["--max-flips", "1", "--max-unreplayable", "6"], 1),
        (["--max-flips", "-1"], 2),
    ],
)
def test_the_budget_decides_the_exit_code(options: list[str], code: int) -> None:
    """Without a word no flip may be."""
    assert CliRunner().invoke(command, options).exit_code == code


def test_a_comment_is_written_beside_what_is_printed(tmp_path: Path) -> None:
    """In UTF-8, whatever the terminal speaks."""
    file = tmp_path / "review.md"
    result = CliRunner().invoke(command, ["--markdown", str(file), "--json"])
    assert result.output.startswith('{"before": "old"')
    assert "→" in file.read_text(encoding="utf-8")
