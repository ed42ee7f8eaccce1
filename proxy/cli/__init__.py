"""The `detent` command: arguments in, exit codes out (0 ok, 1 finding, 2 usage, 3 unavailable)."""

import click


@click.group()
def main() -> None:
    """Detent: a policy-as-code guardrail proxy for agent tool calls."""
