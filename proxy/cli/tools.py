"""`detent tools import`: a manifest draft with pins, for review in a pull request."""

import asyncio
import os
from pathlib import Path

import click

from proxy.app.checks import definitions_of
from proxy.cli.options import config_option, settings_of
from proxy.pdp.draft import draft_manifest


@click.group()
def tools() -> None:
    """Work on tool manifests."""


@tools.command(name="import")
@click.argument("server")
@config_option
@click.option(
    "--output", "-o", type=click.Path(path_type=Path), help="A new file (default: the terminal)."
)
def import_(server: str, config: Path, output: Path | None) -> None:
    """Ask SERVER for its tools and draft their manifest.

    Effects are guesses on the careful side: read every entry before you commit it.
    """
    if output is not None and output.exists():
        raise click.UsageError(f"{output} exists; write the draft elsewhere and compare")
    settings = settings_of(config)
    draft = draft_manifest(server, asyncio.run(definitions_of(settings, os.environ, server)))
    if output is None:
        click.echo(draft, nl=False)
        return
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(draft, encoding="utf-8")
    except OSError as error:
        message = f"{output} cannot be written ({error.strerror}); name another file"
        raise click.UsageError(message) from None
    click.echo(f"wrote {output}: review effect, risk, sinks and recovery of every tool")
