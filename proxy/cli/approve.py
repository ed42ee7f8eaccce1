"""`detent approvals`, `detent approve`: what agents wait for, and an operator's yes or no."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import click

from proxy.cli.kill import ask, operator_options
from proxy.cli.options import json_option
from proxy.cli.tables import print_table

STATES = ("pending", "approved", "denied", "used", "expired", "any")
COLUMNS = ("approval", "state", "agent", "tool", "risk", "until", "would send")


@click.command()
@click.argument("approval", required=False)
@click.option("--state", type=click.Choice(STATES), default="pending", show_default=True)
@click.option("--tenant", help="Only this tenant's.")
@operator_options
@json_option
def approvals(
    approval: str | None,
    state: str,
    tenant: str | None,
    url: str,
    token_file: Path | None,
    as_json: bool,
) -> None:
    """List the calls that wait for an approval, or tell one APPROVAL whole (role approve)."""
    asked = {"state": state} | ({"tenant": tenant} if tenant else {})
    place = f"/{_segment(approval)}" if approval else f"?{urlencode(asked)}"
    answer = ask("GET", f"{url}/v1/approvals{place}", token_file, None)
    if as_json:
        click.echo(json.dumps(answer))
    elif approval:
        print_table(("", ""), _whole(answer))
    else:
        print_table(COLUMNS, (_row(one) for one in answer["approvals"]))


@click.command()
@click.argument("approval")
@click.option("--deny", is_flag=True, help="Refuse the call instead.")
@click.option("--reason", default="", help="Why; goes into the log.")
@operator_options
@json_option
def approve(
    approval: str, deny: bool, reason: str, url: str, token_file: Path | None, as_json: bool
) -> None:
    """Let the call of APPROVAL through once, when its agent sends it again (role approve)."""
    verb = "deny" if deny else "approve"
    place = f"{url}/v1/approvals/{_segment(approval)}/{verb}"
    answer = ask("POST", place, token_file, {"reason": reason})
    if as_json:
        click.echo(json.dumps(answer))
        return
    who = f"{answer['tenant']}/{answer['agent']}"
    until = "refused" if deny else "good for one call"
    click.echo(f"{answer['state']}: {who} {answer['tool']}, {until} until {answer['expires_at']}")


def _segment(approval: str) -> str:
    return quote(approval, safe="")


def _row(one: dict[str, Any]) -> list[str]:
    return [
        one["id"],
        one["state"],
        f"{one['tenant']}/{one['agent']}",
        one["tool"],
        str(one["risk"]),
        one["expires_at"],
        _request(one["request"]),
    ]


def _request(request: dict[str, Any]) -> str:
    cut = f" … cut: {request['bytes']} bytes in all" if request["truncated"] else ""
    return f"{request['json']}{cut}"


def _whole(one: dict[str, Any]) -> list[tuple[str, str]]:
    reasons = ", ".join(f"{why['id']}: {why['message']}" for why in one["reasons"])
    decided = f" by {one['decided_by']} at {one['decided_at']}" if one["decided_at"] else ""
    return [
        ("approval", one["id"]),
        ("state", one["state"] + decided),
        ("agent", f"{one['tenant']}/{one['agent']}, session {one['session_id']}"),
        ("tool", f"{one['tool']} ({one['effect']}, risk {one['risk']})"),
        ("held because", reasons),
        ("would send", one["request"]["json"]),
        ("sha256", one["request"]["sha256"]),
        ("asked", one["asked_at"]),
        ("until", one["expires_at"]),
        ("policy", one["policy_revision"]),
        ("tool pin", one["tool_pin"]),
    ]
