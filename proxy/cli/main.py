"""The group that all subcommands hang on, and how errors become exit codes."""

import sys
from typing import Any

import click

from proxy.cli.check import check
from proxy.cli.kill import kill, lift, sessions
from proxy.cli.policy import policy
from proxy.cli.serve import serve
from proxy.cli.token import token
from proxy.cli.tools import tools
from proxy.errors import ConfigError, DetentError, PolicyInvalid

USAGE, UNAVAILABLE = 2, 3


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


@click.group(cls=DetentGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="detent")
def main() -> None:
    """Detent stands between agents and their tools: every call decided by policy, one kill switch.

    Start with `detent check`, then `detent serve`.
    """


for command in (serve, check, kill, lift, sessions, token, tools, policy):
    main.add_command(command)
