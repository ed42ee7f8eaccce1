"""`detent policy boundaries`: inputs at the edges of a bundle's rules."""

import json
from collections import Counter
from pathlib import Path

import click

from proxy.app.boundaries import boundaries_of
from proxy.cli.options import json_option
from proxy.cli.tables import print_table
from proxy.pdp.find_opa import find_opa


@click.command("boundaries")
@click.argument("bundle", type=click.Path(path_type=Path, exists=True, file_okay=False))
@json_option
def boundaries_command(bundle: Path, as_json: bool) -> None:
    """Make inputs at the edges of the rules of BUNDLE, a directory.

    The same bundle gives the same inputs. `detent policy diff --corpus` reads what --json prints.
    """
    every = boundaries_of(bundle, find_opa().path)
    made = [one for one in every if not one.problem]
    for one in every[len(made) :]:
        click.echo(f"{one.label}: {one.problem}", err=True)
    if as_json:
        told = [{"label": one.label, "input": one.input} for one in made]
        click.echo(json.dumps(told, sort_keys=True))
        return
    counts = Counter(one.label.partition(": ")[0] for one in made)
    print_table(("of", "inputs"), ((name, str(count)) for name, count in sorted(counts.items())))
    click.echo(f"{len(made)} inputs")
