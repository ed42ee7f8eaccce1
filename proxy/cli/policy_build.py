"""`detent policy build`: a directory of policies as one archive, the same bytes every time."""

import asyncio
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

import click

from proxy.app.probing import probe_suites
from proxy.cli.options import json_option
from proxy.pdp.commit import commit_time
from proxy.pdp.delivery.building import build, read_manifest
from proxy.pdp.delivery.packing import unpack_files
from proxy.pdp.find_opa import find_opa

NO_NUMBER = "these policies stand in no git commit; give --number, greater with every build"


@click.command("build")
@click.argument("bundle", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("bundle.tar.gz"),
    show_default=True,
    help="The archive to write.",
)
@click.option(
    "--number",
    type=click.IntRange(min=1),
    help="Greater with every build; the time of the newest commit of BUNDLE if unset.",
)
@json_option
def build_command(bundle: Path, output: Path, number: int | None, as_json: bool) -> None:
    """Check BUNDLE, a directory, ask it its suites, and write it as one archive, to be signed."""
    number = number or commit_time(bundle)
    if not number:
        raise click.UsageError(NO_NUMBER)
    opa = find_opa().path
    packed = build(bundle, opa, number)
    asyncio.run(probe_suites(bundle, opa))
    write_whole(output, packed)
    built = read_manifest(unpack_files(packed))
    told = {
        "archive": str(output),
        "sha256": hashlib.sha256(packed).hexdigest(),
        "revision": built.revision,
        "number": built.number,
    }
    click.echo(json.dumps(told) if as_json else as_lines(told))


def write_whole(path: Path, content: bytes) -> None:
    """Write a file at once: who reads it meanwhile gets the old one or the new one."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def as_lines(told: Mapping[str, object]) -> str:
    """Return one line a member."""
    return "\n".join(f"{name + ':':<10} {value}" for name, value in told.items())
