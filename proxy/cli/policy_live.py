"""`detent policy status`, `promote`, `rollback`, `reload`: the policy in force, replica by replica.

Each replica has its own; `--url` is given once for each.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from proxy.cli.kill import ask, base_url
from proxy.cli.options import json_option
from proxy.cli.tables import print_table

CHANGE_S = 90.0  # a policy is fetched, checked, started and asked all its suites
COLUMNS = ("replica", "revision", "number", "offered", "previous", "shadow", "refused")


def _bases(
    context: click.Context, parameter: click.Parameter, urls: tuple[str, ...]
) -> tuple[str, ...]:
    given = urls or (os.environ.get("DETENT_URL", "http://127.0.0.1:8788"),)
    return tuple(base_url(context, parameter, url) for url in given)


def replica_options(command: Callable[..., None]) -> Callable[..., None]:
    """Ask for the operators' ports of the replicas, and who asks."""
    command = click.option(
        "--url",
        "urls",
        multiple=True,
        callback=_bases,
        help="An operators' port, once a replica (default: $DETENT_URL or http://127.0.0.1:8788).",
    )(command)
    return click.option(
        "--token-file",
        type=click.Path(path_type=Path, exists=True, dir_okay=False),
        help="A file with the operator token (default: $DETENT_OPERATOR_TOKEN).",
    )(command)


reason_option = click.option("--reason", default="", help="Why; goes into the log.")


@click.command("status")
@replica_options
@json_option
def status_command(urls: tuple[str, ...], token_file: Path | None, as_json: bool) -> None:
    """Show which policy each replica decides by, and what became of others (role view)."""
    answers = [ask("GET", f"{url}/v1/policy", token_file, None) for url in urls]
    if as_json:
        click.echo(json.dumps(answers))
        return
    print_table(COLUMNS, (_row(answer) for answer in answers))


@click.command("promote")
@click.argument("revision")
@reason_option
@replica_options
def promote_command(
    revision: str, reason: str, urls: tuple[str, ...], token_file: Path | None
) -> None:
    """Decide by the candidate of that REVISION from now on (role policy)."""
    _change("promote", {"revision": revision, "reason": reason}, urls, token_file)


@click.command("rollback")
@click.option("--revision", help="The one to go back to: needed when it was itself rolled back.")
@reason_option
@replica_options
def rollback_command(
    revision: str | None, reason: str, urls: tuple[str, ...], token_file: Path | None
) -> None:
    """Decide by the policy before this one from now on (role policy)."""
    named = {"revision": revision} if revision else {}
    _change("rollback", {**named, "reason": reason}, urls, token_file)


@click.command("reload")
@click.option("--older", is_flag=True, help="Take a signed bundle with a smaller number too.")
@reason_option
@replica_options
def reload_command(
    older: bool, reason: str, urls: tuple[str, ...], token_file: Path | None
) -> None:
    """Look for the policy now, and load it (role policy)."""
    _change("reload", {"older": older, "reason": reason}, urls, token_file)


def _change(
    what: str, body: dict[str, Any], urls: tuple[str, ...], token_file: Path | None
) -> None:
    """Ask one replica after the other; the first that refuses ends it, with exit code 1."""
    for url in urls:
        answer = ask("POST", f"{url}/v1/policy/{what}", token_file, body, CHANGE_S)
        click.echo(f"{url}: decides by {answer['policy_revision']}")


def _row(answer: dict[str, Any]) -> list[str]:
    refused = answer["refused"]
    return [
        answer["replica"],
        answer["policy_revision"],
        str(answer["number"] or ""),
        "the same" if answer["offered"] == answer["policy_revision"] else answer["offered"],
        answer["previous"] or "",
        _candidate(answer["shadow"]) if answer["shadow"] else "",
        f"{refused['at']} {refused['message']}" if refused else "",
    ]


def _candidate(shadow: dict[str, Any]) -> str:
    told = ", ".join(f"{count} {what}" for what, count in shadow["counts"].items() if count)
    return f"{shadow['revision'] or 'none'}: {shadow['problem'] or told or 'nothing yet'}"
