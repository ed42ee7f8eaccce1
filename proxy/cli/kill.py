"""`detent kill`, `detent lift`, `detent sessions`: the operators' plane from a terminal."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import httpx
from rich.console import Console
from rich.table import Table

from proxy.cli.options import json_option

TIMEOUT_S = 10.0
FINDING, UNAVAILABLE = 1, 3


def operator_options(command: Callable[..., None]) -> Callable[..., None]:
    """Where the operators' port is, and who asks."""
    command = click.option(
        "--url",
        default=lambda: os.environ.get("DETENT_URL", "http://127.0.0.1:8788"),
        help="The operators' port (default: $DETENT_URL or http://127.0.0.1:8788).",
    )(command)
    return click.option(
        "--token-file",
        type=click.Path(path_type=Path, exists=True, dir_okay=False),
        help="A file with the operator token (default: $DETENT_OPERATOR_TOKEN).",
    )(command)


@click.command()
@click.option("--scope", help="kind:id, such as agent:acme/loop or tool:repo/git_commit.")
@click.option("--reason", default="", help="Why; goes into the log.")
@operator_options
@json_option
def kill(scope: str | None, reason: str, url: str, token_file: Path | None, as_json: bool) -> None:
    """Stop everything this operator covers, or one scope. Needs no confirmation."""
    body = {"reason": reason} | ({"scope": scope} if scope else {})
    answer = ask("POST", f"{url}/killswitch", token_file, body)
    if as_json:
        click.echo(json.dumps(answer))
    elif answer.get("committed"):
        click.echo(f"killed: epoch {answer['epoch']}, {answer['in_flight']} calls were in flight")
    else:
        click.echo("halted locally; the ledger could not be written and is tried again")
    sys.exit(0 if answer.get("committed") else FINDING)


@click.command()
@click.argument("epoch", type=int)
@click.option("--reason", required=True, help="Why it is safe to go on; goes into the log.")
@operator_options
def lift(epoch: int, reason: str, url: str, token_file: Path | None) -> None:
    """Lift the kill of an epoch (role lift)."""
    answer = ask("DELETE", f"{url}/killswitch/{epoch}", token_file, {"reason": reason})
    click.echo(f"lifted: epoch {answer['epoch']}")


@click.command()
@operator_options
@json_option
def sessions(url: str, token_file: Path | None, as_json: bool) -> None:
    """List the newest sessions."""
    answer = ask("GET", f"{url}/v1/sessions", token_file, None)
    if as_json:
        click.echo(json.dumps(answer))
        return
    table = Table("session", "tenant", "agent", "mode", "state", "opened")
    for row in answer["sessions"]:
        table.add_row(
            *(str(row[key]) for key in ("id", "tenant", "agent", "mode", "state")),
            str(row["opened_at"]),
        )
    Console().print(table)


def ask(method: str, url: str, token_file: Path | None, body: dict[str, Any] | None) -> Any:
    """Ask the operators' port; exits with 3 when it cannot be reached, 1 when it refuses.

    503 is an answer: the halt holds locally.
    """
    token = (
        token_file.read_text().strip() if token_file else os.environ.get("DETENT_OPERATOR_TOKEN")
    )
    if not token:
        raise click.UsageError("set DETENT_OPERATOR_TOKEN or give --token-file")
    headers = {"Authorization": f"Bearer {token}"}
    try:
        with httpx.Client(timeout=TIMEOUT_S, trust_env=False) as client:
            answer = client.request(method, url, json=body, headers=headers)
            document = answer.json()
    except (httpx.HTTPError, ValueError):
        click.echo(f"detent: no answer from {url}; is the gateway running there?", err=True)
        sys.exit(UNAVAILABLE)
    if answer.is_success or "halted_locally" in document:
        return document
    click.echo(f"detent: {answer.status_code}: {document.get('detail', 'refused')}", err=True)
    sys.exit(FINDING)
