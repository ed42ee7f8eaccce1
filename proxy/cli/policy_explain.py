"""`detent policy explain`: one decision of the log, in words."""

import json
from dataclasses import asdict
from pathlib import Path

import click

from proxy.app.review import explained, found_in, reviewer
from proxy.cli.options import json_option
from proxy.cli.plain import plain
from proxy.pdp.find_opa import find_opa
from proxy.pdp.review.explain import Explanation


@click.command("explain")
@click.argument("decision_id")
@click.option(
    "--log", type=click.Path(path_type=Path, exists=True), required=True, help="The decision log."
)
@click.option(
    "--bundle",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default=Path("policies"),
    show_default=True,
    help="The policies that decided.",
)
@json_option
def explain_command(decision_id: str, log: Path, bundle: Path, as_json: bool) -> None:
    """Tell which rules made the decision DECISION_ID, and what they looked at.

    Exit code 0, or 2 when the log has no such decision or the policies are broken.
    """
    record = found_in(log, decision_id)
    with reviewer(find_opa().path) as reviewing:
        explanation = explained(record, reviewing.side(bundle), reviewing.opa)
    click.echo(json.dumps(asdict(explanation)) if as_json else _text(explanation))


def _text(told: Explanation) -> str:
    lines = [
        f"{told.verdict}: {told.tenant}/{told.agent} asked for {told.tool} at {told.at}",
        f"decided by {told.revision} as {told.decision_id}",
    ]
    lines += [told.note] if told.note else []
    for fired in told.fired:
        lines += ["", f"{fired.rule} {fired.said}: {fired.reason}", f"  {fired.message}"]
        lines += [f"  in {place}" for place in fired.places]
        for one in fired.looked_at:
            value = "is missing" if one.value is None else f"= {one.value}"
            lines.append(f"    {one.path} {value}{' (masked in part)' if one.is_masked else ''}")
    return "\n".join(plain(line).replace("\n", "�") for line in lines)
