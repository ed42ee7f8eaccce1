"""`python -m tests.conformance.run`: MCP conformance, direct and through the gateway.

Prints the score of each revision, and every check that differs. Ends with 1 on any missing point
and any difference. Results are kept under var/conformance.
"""

import asyncio
import sys
import tempfile
from contextlib import AsyncExitStack, nullcontext
from pathlib import Path

import click

from tests.conformance.compare import Difference, differences
from tests.conformance.places import fixture, gateway_before
from tests.conformance.suite import REVISIONS, Report, score
from tests.harness.node import NotInstalled
from tests.harness.world import ROOT

RESULTS = ROOT / "var/conformance"


@click.command()
@click.option("--server-url", help="Score this server instead of the fixture.")
@click.option("--revision", "revisions", multiple=True, type=click.Choice(REVISIONS))
@click.option("--direct", "only_direct", is_flag=True, help="Leave the gateway out.")
def main(server_url: str | None, revisions: tuple[str, ...], only_direct: bool) -> None:
    """Score a server direct and through the gateway."""
    try:
        agree = asyncio.run(run(server_url, revisions or REVISIONS, only_direct))
    except NotInstalled as missing:
        click.echo(str(missing), err=True)
        sys.exit(2)
    sys.exit(0 if agree else 1)


async def run(server_url: str | None, revisions: tuple[str, ...], only_direct: bool) -> bool:
    """Return whether every point was made and nothing differs."""
    async with AsyncExitStack() as stack:
        server = nullcontext(server_url) if server_url else fixture()
        url = await stack.enter_async_context(server)
        direct = await score_all(url, revisions, "direct")
        if only_direct:
            return not any(report.failed for report in direct)
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        place, gateway = await stack.enter_async_context(gateway_before(url, directory))
        try:
            through = await score_all(place, revisions, "through")
        finally:
            (RESULTS / "gateway.log").write_text(gateway.text)
    pairs = list(zip(direct, through, strict=True))
    found = [one for before, after in pairs for one in told(before, after)]
    return not found and not any(report.failed for report in (*direct, *through))


async def score_all(url: str, revisions: tuple[str, ...], way: str) -> list[Report]:
    """Score every revision and say how it went."""
    reports = []
    for revision in revisions:
        report = await score(url, revision, RESULTS / way / revision)
        click.echo(f"{revision} {way:7}  {report.score}")
        for name in report.failed:
            for check in report.failures(name):
                click.echo(f"  lost: {name} · {check.id}: {check.message}")
        reports.append(report)
    return reports


def told(direct: Report, through: Report) -> list[Difference]:
    """Say where the two differ."""
    found = differences(direct, through)
    for one in found:
        click.echo(f"{direct.revision}  DIFFERS  {one}")
    return found


if __name__ == "__main__":
    main()
