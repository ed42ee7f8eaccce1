"""`detent policy`: everything that is done with policies, each command in a file of its own."""

import click

from proxy.cli.group import LoadedWhenUsed

COMMANDS: dict[str, str] = {
    "boundaries": "proxy.cli.policy_boundaries:boundaries_command",
    "build": "proxy.cli.policy_build:build_command",
    "diff": "proxy.cli.policy_diff:diff_command",
    "explain": "proxy.cli.policy_explain:explain_command",
    "init": "proxy.cli.policy_init:init_command",
    "lint": "proxy.cli.policy_lint:lint_command",
    "promote": "proxy.cli.policy_live:promote_command",
    "reload": "proxy.cli.policy_live:reload_command",
    "replay": "proxy.cli.policy_replay:replay_command",
    "rollback": "proxy.cli.policy_live:rollback_command",
    "sign": "proxy.cli.policy_sign:sign_command",
    "status": "proxy.cli.policy_live:status_command",
    "test": "proxy.cli.policy_suites:test_command",
    "verify": "proxy.cli.policy_sign:verify_command",
}


@click.group(cls=LoadedWhenUsed, table=COMMANDS)
def policy() -> None:
    """Work on policies."""
