"""Commands are loaded when they are used; errors become exit codes."""

from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from proxy.cli.group import DetentGroup
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


def test_a_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """With its path: most often its directory is missing."""
    wanted = tmp_path / "none" / "report.md"

    @click.group(cls=DetentGroup)
    def group() -> None:
        """Hold one command."""

    @group.command()
    def write() -> None:
        wanted.write_text("x")

    result = CliRunner().invoke(group, ["write"])
    told = (
        f"detent: {wanted}: No such file or directory. Cure: check the path, and who may use it\n"
    )
    assert (result.exit_code, result.stderr) == (2, told)


@pytest.mark.parametrize("bug", [ZeroDivisionError, OSError])
def test_a_bug_stays_one(bug: type[Exception]) -> None:
    """What is no error of ours is not dressed up as one."""

    @click.group(cls=DetentGroup)
    def group() -> None:
        """Hold one command."""

    @group.command()
    def fail() -> None:
        raise bug

    assert isinstance(CliRunner().invoke(group, ["fail"]).exception, bug)


def test_a_command_that_is_not_there_is_a_usage_error(detent: Run) -> None:
    """It is not looked for in any module."""
    result = detent("os")
    assert result.exit_code == 2
    assert "No such command 'os'" in result.stderr
