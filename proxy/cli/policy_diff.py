"""`detent policy diff`: where two revisions of the policies decide otherwise."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path

import click

from proxy.app.boundaries import boundaries_between
from proxy.app.review import inputs_of_file, reviewer, suite_inputs
from proxy.cli.policy_review import Output, review_options
from proxy.cli.progress import show_progress
from proxy.pdp.find_opa import find_opa
from proxy.pdp.review.log_files import SUFFIXES, read_log
from proxy.pdp.review.questions import Question, of_inputs, of_log
from proxy.pdp.review.sides import Side

SUITES = "suites"
BOUNDARIES = "boundaries"

_DIRECTORY = click.Path(path_type=Path, exists=True, file_okay=False)


@click.command("diff")
@click.argument("before", type=_DIRECTORY)
@click.argument("after", type=_DIRECTORY)
@click.option(
    "--corpus",
    "corpora",
    multiple=True,
    default=(SUITES, BOUNDARIES),
    show_default=True,
    help="suites, boundaries, a decision log, or a JSON list of labelled inputs. Repeatable.",
)
@review_options
def diff_command(before: Path, after: Path, corpora: tuple[str, ...], output: Output) -> None:
    """Ask the policies BEFORE and AFTER the same questions.

    Suites are those of BEFORE; an input was made under BEFORE unless it has a manifest of its own.
    Exit code 0 within the budget, 1 over it, 2 when the policies are broken.
    """
    with reviewer(find_opa().path, show_progress) as reviewing:
        sides = reviewing.side(before), reviewing.side(after)
        asked = chain.from_iterable(_questions(name, (before, after), sides[0]) for name in corpora)
        output.tell(reviewing.compare(*sides, asked))


def _questions(corpus: str, directories: tuple[Path, Path], side: Side) -> Iterator[Question]:
    """Yield what a corpus holds; `side` is the first directory. Raises PolicyInvalid."""
    if corpus == SUITES:
        return of_inputs(suite_inputs(directories[0], side))
    if corpus == BOUNDARIES:
        return of_inputs(boundaries_between(*directories, find_opa().path))
    place = Path(corpus)
    if place.is_dir() or place.name.endswith(SUFFIXES):
        return (replace(one, recorded=None) for one in of_log(read_log(place)))
    return of_inputs(inputs_of_file(place))
