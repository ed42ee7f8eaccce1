"""`detent check`: everything `detent serve` would refuse, and what it would only warn of."""

import asyncio
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

import click
from rich.text import Text

from proxy.app.checks import examine
from proxy.cli.options import config_option, json_option, settings_of
from proxy.cli.tables import print_table

COLOURS = {"ok": "green", "warning": "yellow", "error": "red"}


@click.command()
@config_option
@json_option
def check(config: Path, as_json: bool) -> None:
    """Check settings, policies, secrets and servers without serving anything.

    Exit code 0 when serving would start, 1 when something is wrong, 2 for broken settings.
    """
    settings = settings_of(config)
    findings = asyncio.run(examine(settings, dict(os.environ)))
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings]))
    else:
        rows = ((Text(one.level, COLOURS[one.level]), one.what, one.message) for one in findings)
        print_table(("", "what", "finding"), rows)
    sys.exit(1 if any(finding.level == "error" for finding in findings) else 0)
