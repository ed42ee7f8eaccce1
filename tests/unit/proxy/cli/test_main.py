from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest
from click.testing import Result

from proxy.cli.main import COMMANDS

Run = Callable[..., Result]


def test_the_help_lists_every_command(detent: Run) -> None:
    """Each with one line of its own."""
    shown = detent("--help").output
    for name in COMMANDS:
        (line,) = [line for line in shown.splitlines() if line.startswith(f"  {name} ")]
        assert len(line.split()) > 1


def test_the_version_is_the_installed_one(detent: Run) -> None:
    """For reports."""
    assert version("detent") in detent("--version").output


NEED_SETTINGS = [("serve",), ("check",), ("tools", "import", "repo")]


@pytest.mark.parametrize("command", NEED_SETTINGS, ids=" ".join)
def test_settings_that_are_not_there_are_a_usage_error(
    detent: Run, tmp_path: Path, command: tuple[str, ...]
) -> None:
    """The message names the file."""
    missing = tmp_path / "none.yaml"
    result = detent(*command, "--config", missing)
    assert result.exit_code == 2
    assert f"detent: {missing}: cannot be read" in result.stderr


@pytest.mark.parametrize("command", NEED_SETTINGS, ids=" ".join)
def test_every_problem_of_the_settings_is_told_at_once(
    detent: Run, tmp_path: Path, command: tuple[str, ...]
) -> None:
    """One line each, with its place."""
    file = tmp_path / "detent.yaml"
    file.write_text("bogus: 1\npolicy: {deadline: 3}\n")
    result = detent(*command, "--config", file)
    assert result.exit_code == 2
    assert "detent.yaml:2: policy.deadline: a duration" in result.stderr
    assert "detent.yaml:1: bogus: unknown key" in result.stderr
