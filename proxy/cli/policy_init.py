"""`detent policy init`: a bundle to start from."""

from pathlib import Path

import click

from proxy.pdp.starting import start_bundle


@click.command("init")
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
def init_command(directory: Path) -> None:
    """Write a bundle into DIRECTORY, which must be new or empty.

    It has the rules Detent ships, their tests, pages and suites, and passes test and lint.
    """
    count = start_bundle(directory)
    click.echo(f"{count} files in {directory}. Read {directory / 'README.md'}, then:")
    click.echo(f"  detent policy test {directory}")
    click.echo(f"  detent policy lint {directory}")
