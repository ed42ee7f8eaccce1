"""The group that all subcommands hang on, and how errors become exit codes."""

import importlib
import sys
from typing import Any

import click

from proxy.errors import ConfigError, DetentError, PolicyInvalid

USAGE, UNAVAILABLE = 2, 3

# A command is loaded when it is used: `hook` runs at every step of an agent, and the whole gateway
# takes a second to import. Each is called like its function in that module.
COMMANDS: dict[str, str] = {
    "approvals": "proxy.cli.approve",
    "approve": "proxy.cli.approve",
    "check": "proxy.cli.check",
    "db": "proxy.cli.db",
    "hook": "proxy.cli.hook",
    "install": "proxy.cli.install",
    "kill": "proxy.cli.kill",
    "lift": "proxy.cli.kill",
    "policy": "proxy.cli.policy",
    "serve": "proxy.cli.serve",
    "sessions": "proxy.cli.kill",
    "settle": "proxy.cli.settle",
    "stuck": "proxy.cli.settle",
    "token": "proxy.cli.token",
    "tools": "proxy.cli.tools",
}


class DetentGroup(click.Group):
    """Turns Detent's errors into one readable message and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the subcommand."""
        try:
            return super().invoke(ctx)
        except (ConfigError, PolicyInvalid) as error:
            click.echo(f"detent: {error}", err=True)
            sys.exit(USAGE)
        except DetentError as error:
            click.echo(f"detent: {error}", err=True)
            sys.exit(UNAVAILABLE)


class LoadedWhenUsed(DetentGroup):
    """The group of the table above."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  (click calls it so)
        """Return the names, sorted."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  (the same)
        """Load the command of that name."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(importlib.import_module(COMMANDS[cmd_name]), cmd_name)
        return command


@click.group(cls=LoadedWhenUsed, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="detent")
def main() -> None:
    """Detent stands between agents and their tools: every call decided by policy, one kill switch.

    Start with `detent check`, then `detent serve`.
    """
