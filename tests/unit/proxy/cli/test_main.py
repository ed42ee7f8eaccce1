from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from proxy.cli.main import COMMANDS, DetentGroup
from proxy.errors import (
    ConfigError,
    DetentError,
    PolicyInvalid,
    PolicyUnavailable,
    StoreInUse,
    UpstreamFailed,
)
from proxy.process.child import ChildFailed

Run = Callable[..., Result]

CODES: list[tuple[DetentError, int]] = [
    (ConfigError(("one: cure", "two: cure")), 2),
    (PolicyInvalid("one: cure\ntwo: cure"), 2),
    (PolicyUnavailable("one: cure\ntwo: cure"), 3),
    (StoreInUse("one: cure\ntwo: cure"), 3),
    (UpstreamFailed("one: cure\ntwo: cure"), 3),
    (ChildFailed("one: cure\ntwo: cure"), 3),
]


@pytest.mark.parametrize(("error", "code"), CODES, ids=lambda given: type(given).__name__)
def test_an_error_is_one_message_and_an_exit_code(error: DetentError, code: int) -> None:
    """Whole, on stderr, without a stack trace."""

    @click.group(cls=DetentGroup)
    def group() -> None:
        """Hold one command."""

    @group.command()
    def fail() -> None:
        raise error

    result = CliRunner().invoke(group, ["fail"])
    assert result.exit_code == code
    assert (result.stdout, result.stderr) == ("", "detent: one: cure\ntwo: cure\n")


def test_a_bug_stays_one() -> None:
    """What is no error of ours is not dressed up as one."""

    @click.group(cls=DetentGroup)
    def group() -> None:
        """Hold one command."""

    @group.command()
    def fail() -> None:
        raise ZeroDivisionError

    assert isinstance(CliRunner().invoke(group, ["fail"]).exception, ZeroDivisionError)


def test_the_help_lists_every_command(detent: Run) -> None:
    """Each with one line of its own."""
    shown = detent("--help").output
    for name in COMMANDS:
        (line,) = [line for line in shown.splitlines() if line.startswith(f"  {name} ")]
        assert len(line.split()) > 1


def test_a_command_that_is_not_there_is_a_usage_error(detent: Run) -> None:
    """It is not looked for in any module."""
    result = detent("os")
    assert result.exit_code == 2
    assert "No such command 'os'" in result.stderr


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
