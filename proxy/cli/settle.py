"""`detent stuck`, `detent settle`: steps whose outcome only a person can tell."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from proxy.cli.kill import ask, operator_options
from proxy.cli.options import json_option
from proxy.cli.tables import print_table

COLUMNS = ("step", "agent", "tool", "risk", "since", "why")


@click.command()
@operator_options
@json_option
def stuck(url: str, token_file: Path | None, as_json: bool) -> None:
    """List the steps that wait for `detent settle` (role view)."""
    answer = ask("GET", f"{url}/v1/intents?state=stuck", token_file, None)
    if as_json:
        click.echo(json.dumps(answer))
    else:
        print_table(COLUMNS, (_row(one) for one in answer["intents"]))


@click.command()
@click.argument("step")
@click.option("--done", is_flag=True, help="It happened: its points are used.")
@click.option("--failed", is_flag=True, help="It did not: its points are given back.")
@click.option("--reason", required=True, help="How you know; goes into the log.")
@operator_options
@json_option
def settle(
    *, step: str, reason: str, url: str, token_file: Path | None, as_json: bool, **said: bool
) -> None:
    """Say what became of a stuck STEP, after a look at its tool (role approve)."""
    outcomes = [outcome for outcome, is_said in said.items() if is_said]
    if len(outcomes) != 1:
        raise click.UsageError("Say one of --done and --failed.")
    body = {"outcome": outcomes[0], "reason": reason}
    answer = ask("POST", f"{url}/v1/intents/{quote(step, safe='')}/settle", token_file, body)
    if as_json:
        click.echo(json.dumps(answer))
        return
    who = f"{answer['tenant']}/{answer['agent']}"
    click.echo(f"{answer['state']}: {who} {answer['tool']}, {answer['risk']} points")


def _row(one: dict[str, Any]) -> list[str]:
    return [
        one["step_id"],
        f"{one['tenant']}/{one['agent']}",
        one["tool"],
        str(one["risk"]),
        one["at"],
        one["detail"],
    ]
