"""`detent policy init`."""

from collections.abc import Callable
from pathlib import Path

from click.testing import Result

Run = Callable[..., Result]


def test_a_bundle_to_start_from_passes_test_and_lint(detent: Run, tmp_path: Path) -> None:
    """As it stands."""
    made = detent("policy", "init", tmp_path / "mine")
    assert made.exit_code == 0, made.output
    assert f"detent policy test {tmp_path / 'mine'}" in made.output
    for command in ("test", "lint"):
        result = detent("policy", command, tmp_path / "mine")
        assert result.exit_code == 0, result.output


def test_a_directory_in_use_is_left_alone(detent: Run, tmp_path: Path) -> None:
    """With the cure."""
    (tmp_path / "kept").write_text("")
    result = detent("policy", "init", tmp_path)
    assert result.exit_code == 2
    assert "not empty. Cure: " in result.stderr
