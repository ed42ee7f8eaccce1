"""The commands on policies."""

from collections.abc import Callable

from click.testing import Result

from proxy.cli.policy import COMMANDS

Run = Callable[..., Result]


def test_the_help_lists_every_command(detent: Run) -> None:
    """Each with one line of its own."""
    shown = detent("policy", "--help").output
    for name in COMMANDS:
        (line,) = [line for line in shown.splitlines() if line.startswith(f"  {name} ")]
        assert len(line.split()) > 1


def test_a_command_that_is_not_there_is_a_usage_error(detent: Run) -> None:
    """It is not looked for in any module."""
    result = detent("policy", "live")
    assert result.exit_code == 2
    assert "No such command 'live'" in result.stderr
