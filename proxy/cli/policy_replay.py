"""`detent policy replay`: what a candidate would have decided on calls that were made."""

from pathlib import Path

import click

from proxy.app.review import reviewer
from proxy.cli.policy_review import Output, review_options
from proxy.cli.progress import show_progress
from proxy.pdp.find_opa import find_opa

_DIRECTORY = click.Path(path_type=Path, exists=True, file_okay=False)


@click.command("replay")
@click.argument("log", type=click.Path(path_type=Path, exists=True))
@click.option("--candidate", type=_DIRECTORY, required=True, help="The policies to look at.")
@click.option("--baseline", type=_DIRECTORY, help="The policies that decided.")
@review_options
def replay_command(log: Path, candidate: Path, baseline: Path | None, output: Output) -> None:
    """Ask CANDIDATE what a decision LOG holds, a file or a directory of them.

    With --baseline both are asked, and what the baseline no longer decides as recorded is told
    apart. Without it nobody knows which limits of budgets the candidate changes.
    Exit code 0 within the budget, 1 over it, 2 when the policies are broken.
    """
    with reviewer(find_opa().path, show_progress) as reviewing:
        before = reviewing.side(baseline) if baseline else None
        output.tell(reviewing.replay(log, before, reviewing.side(candidate)))
