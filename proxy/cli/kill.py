"""`detent kill`, `kills`, `lift`, `sessions`: the operators' plane from a terminal."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
import httpx

from proxy.cli.options import json_option
from proxy.cli.tables import print_table

TIMEOUT_S = 10.0
FINDING, UNAVAILABLE = 1, 3


def base_url(_context: click.Context, _parameter: click.Parameter, url: str) -> str:
    """Return a base URL without its last slash. Raises BadParameter."""
    try:
        parts = urlsplit(url)
        is_base = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        is_base = False
    if not is_base:
        raise click.BadParameter("give it as http://127.0.0.1:8788")
    return url.rstrip("/")


def operator_options(command: Callable[..., None]) -> Callable[..., None]:
    """Where the operators' port is, and who asks."""
    command = click.option(
        "--url",
        default=lambda: os.environ.get("DETENT_URL", "http://127.0.0.1:8788"),
        callback=base_url,
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
    if answer.get("warning"):
        click.echo(f"detent: {answer['warning']}", err=True)
    sys.exit(0 if answer.get("committed") else FINDING)


@click.command()
@operator_options
@json_option
def kills(url: str, token_file: Path | None, as_json: bool) -> None:
    """List what is halted, with the epoch that `detent lift` takes (role view)."""
    answer = ask("GET", f"{url}/killswitch", token_file, None)
    if as_json:
        click.echo(json.dumps(answer))
        return
    standing = [*answer["active"], *answer["pending"]]
    if not standing:
        click.echo("nothing is halted")
        return
    print_table(("epoch", "scopes", "by", "since", "reason"), map(_kill_row, standing))


def _kill_row(one: dict[str, Any]) -> list[str]:
    """Return a row; a kill without an epoch is not committed yet."""
    scopes = (":".join(filter(None, (scope["kind"], scope["id"]))) for scope in one["scopes"])
    epoch = str(one.get("epoch", "not yet"))
    return [epoch, ", ".join(scopes), one["actor"], one["at"], one["reason"]]


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
    columns = ("id", "tenant", "agent", "mode", "state", "opened_at")
    rows = ([str(row[column]) for column in columns] for row in answer["sessions"])
    print_table(("session", "tenant", "agent", "mode", "state", "opened"), rows)


def ask(
    method: str,
    url: str,
    token_file: Path | None,
    body: dict[str, Any] | None,
    timeout_s: float = TIMEOUT_S,
) -> Any:
    """Ask the operators' port; exits with 3 when it cannot be reached, 1 when it refuses.

    503 is an answer: the halt holds locally. Raises UsageError without a usable token.
    """
    try:
        answer = _answer(method, url, _token(token_file), body, timeout_s)
    except httpx.TimeoutException:
        what = "" if method == "GET" else "; it may be done nevertheless: look before you ask again"
        click.echo(f"detent: no answer from {url} within {timeout_s:g} s{what}", err=True)
        sys.exit(UNAVAILABLE)
    if answer is None:
        click.echo(f"detent: no answer from {url}; is the gateway running there?", err=True)
        sys.exit(UNAVAILABLE)
    status, document = answer
    if httpx.codes.is_success(status) or "halted_locally" in document:
        return document
    click.echo(f"detent: {status}: {document.get('detail', 'refused')}", err=True)
    sys.exit(FINDING)


def _answer(
    method: str, url: str, token: str, body: dict[str, Any] | None, timeout_s: float
) -> tuple[int, dict[str, Any]] | None:
    """Return status and JSON object; None when what is there is not our gateway.

    Raises httpx.TimeoutException.
    """
    headers = {"Authorization": f"Bearer {token}"}
    try:
        with httpx.Client(timeout=timeout_s, trust_env=False) as client:
            answer = client.request(method, url, json=body, headers=headers)
            document = answer.json()
    except httpx.TimeoutException:
        raise
    except (httpx.HTTPError, httpx.InvalidURL, ValueError):
        return None
    return (answer.status_code, document) if isinstance(document, dict) else None


def _token(file: Path | None) -> str:
    if file is None:
        token = os.environ.get("DETENT_OPERATOR_TOKEN", "")
    else:
        token = file.read_text(encoding="utf-8", errors="replace").strip()
    if not token:
        raise click.UsageError("set DETENT_OPERATOR_TOKEN or give --token-file")
    if not (token.isascii() and token.isprintable()):
        raise click.UsageError("the operator token is not one line of ASCII; copy it again")
    return token
