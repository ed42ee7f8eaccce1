"""`detent tools import`: a manifest draft with pins, for review in a pull request."""

import asyncio
import os
from pathlib import Path

import click

from proxy.app.checks import definitions_of
from proxy.cli.options import config_option, settings_of
from proxy.config import Settings
from proxy.errors import ConfigError
from proxy.pdp.draft import draft_manifest
from proxy.pdp.openapi import draft_openapi


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
    """Draft the manifest of SERVER's tools.

    An MCP server is asked for them; those of an HTTP service come from its `openapi` file. Effects
    are guesses on the careful side: read every entry before you commit it.
    """
    if output is not None and output.exists():
        raise click.UsageError(f"{output} exists; write the draft elsewhere and compare")
    settings = settings_of(config)
    draft = _draft(settings, server)
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


def _draft(settings: Settings, name: str) -> str:
    """Return the draft. Raises ConfigError, PolicyInvalid, UpstreamFailed."""
    server = settings.servers.get(name)
    openapi = server.http.openapi if server and server.http else None
    if openapi is None:
        return draft_manifest(name, asyncio.run(definitions_of(settings, os.environ, name)))
    file = settings.path(openapi)
    try:
        return draft_openapi(name, file.read_bytes(), str(openapi))
    except OSError as error:
        problem = f"{file} cannot be read ({error.strerror}); name the service's OpenAPI file"
        raise ConfigError((f"servers.{name}.http.openapi: {problem}",)) from None
