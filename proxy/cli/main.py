"""The group that all subcommands hang on."""

import click

from proxy.cli.group import LoadedWhenUsed

COMMANDS: dict[str, str] = {
    "approvals": "proxy.cli.approve:approvals",
    "approve": "proxy.cli.approve:approve",
    "check": "proxy.cli.check:check",
    "db": "proxy.cli.db:db",
    "hook": "proxy.cli.hook:hook",
    "install": "proxy.cli.install:install",
    "kill": "proxy.cli.kill:kill",
    "kills": "proxy.cli.kill:kills",
    "lift": "proxy.cli.kill:lift",
    "policy": "proxy.cli.policy:policy",
    "serve": "proxy.cli.serve:serve",
    "sessions": "proxy.cli.kill:sessions",
    "settle": "proxy.cli.settle:settle",
    "stuck": "proxy.cli.settle:stuck",
    "token": "proxy.cli.token:token",
    "tools": "proxy.cli.tools:tools",
}


@click.group(
    cls=LoadedWhenUsed,
    table=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(package_name="detent")
def main() -> None:
    """Detent stands between agents and their tools: every call decided by policy, one kill switch.

    Start with `detent check`, then `detent serve`.
    """
