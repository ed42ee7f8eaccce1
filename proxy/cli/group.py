"""Groups of commands that load what is used, and turn errors into exit codes."""

import importlib
import sys
from collections.abc import Mapping
from typing import Any

import click

from proxy.cli.plain import plain
from proxy.errors import ConfigError, DetentError, PolicyInvalid

USAGE, UNAVAILABLE = 2, 3


class DetentGroup(click.Group):
    """Turns Detent's errors into one readable message and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the subcommand."""
        try:
            return super().invoke(ctx)
        except (ConfigError, PolicyInvalid) as error:
            click.echo(plain(f"detent: {error}"), err=True)
            sys.exit(USAGE)
        except DetentError as error:
            click.echo(plain(f"detent: {error}"), err=True)
            sys.exit(UNAVAILABLE)
        except OSError as error:
            if error.filename is None:
                raise
            problem = (
                f"{error.filename}: {error.strerror}. Cure: check the path, and who may use it"
            )
            click.echo(plain(f"detent: {problem}"), err=True)
            sys.exit(USAGE)


class LoadedWhenUsed(DetentGroup):
    """The group of a table: the name of each command, and `module:function`.

    `hook` runs at every step of an agent, and the whole gateway takes a second to import.
    """

    def __init__(self, *arguments: Any, table: Mapping[str, str], **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._table = table

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  (click calls it so)
        """Return the names, sorted."""
        return sorted(self._table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  (the same)
        """Load the command of that name."""
        if cmd_name not in self._table:
            return None
        module, _, function = self._table[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), function)
        return command
