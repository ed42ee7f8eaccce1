"""What `detent policy replay` and `detent policy diff` share: budget, output, exit code."""

import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

import click

from proxy.cli.options import json_option
from proxy.cli.plain import plain
from proxy.pdp.review.budget import Budget
from proxy.pdp.review.compare import Review
from proxy.pdp.review.report import (
    GROUPS,
    SHOWN_LABELS,
    Judged,
    call_of,
    counts,
    examples,
    groups,
    to_markdown,
    verdicts,
)

LIMITS = {
    "flips": "Most calls on which an agent may do more or less.",
    "permissions": "Most on which it may do more: verdict, hold, obligation, grant, cost, label.",
    "refusals": "Most new refusals.",
    "changes": "Most other changes: narrower grant, higher cost, more labels, other reasons.",
    "unreplayable": "Most decisions that cannot be asked again.",
}


# What is no decision is told as a refusal in the review; a line for each would bury it.
_QUIET = logging.NullHandler()


@dataclass(frozen=True, slots=True)
class Output:
    """How much may change, and where what changed is told."""

    budget: Budget
    markdown: Path | None
    as_json: bool

    def tell(self, review: Review) -> None:
        """Print the review, write the Markdown, and exit with 1 over the budget."""
        judged = Judged(review, self.budget.exceeded(review))
        if self.markdown is not None:
            self.markdown.write_text(to_markdown(judged), encoding="utf-8")
        # The escape is JSON's own: a runner obeys the bracket anywhere in a line.
        as_json = judged.to_json().replace("##[", "##\\u005b") if self.as_json else ""
        click.echo(as_json or to_text(judged))
        sys.exit(1 if judged.exceeded else 0)


def review_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of a review; the command gets them as one `output`."""

    @wraps(command)
    def with_output(markdown: Path | None, as_json: bool, **given: Any) -> None:
        logging.getLogger("proxy").addHandler(_QUIET)
        limits = {name: given.pop(f"max_{name}") for name in LIMITS}
        budget = Budget(**limits, compared=given.pop("min_compared"))
        command(output=Output(budget, markdown, as_json), **given)

    wrapped = json_option(with_output)
    wrapped = click.option(
        "--markdown",
        type=click.Path(path_type=Path, dir_okay=False),
        help="Write a comment for a pull request.",
    )(wrapped)
    wrapped = click.option(
        "--min-compared",
        type=click.IntRange(1),
        default=1,
        show_default=True,
        help="Least decisions that must have been compared.",
    )(wrapped)
    for name, told in reversed(LIMITS.items()):
        default = 0 if name == "flips" else None
        option = click.option(
            f"--max-{name}", type=click.IntRange(0), default=default, show_default=True, help=told
        )
        wrapped = option(wrapped)
    return wrapped


def to_text(judged: Judged) -> str:
    """Return the review as lines for people."""
    review = judged.review
    lines = [f"before: {review.before}", f"now:    {review.after}", judged.headline()]
    lines += [f"  {count:6} {change}" for change, count in counts(review).items()]
    for name in GROUPS if review.differences else ():
        lines.append(f"by {name}:")
        for group, found in groups(review.differences, name).items():
            told = ", ".join(f"{count} {change}" for change, count in found.items())
            lines.append(f"  {_one_line(group)}: {told}")
    shown = examples(review.differences)
    lines += ["for example:"] if shown else []
    for one in shown:
        lines.append(f"  {_one_line(one.label)}  {_one_line(one.tool)} {call_of(one)}")
        lines.append(f"    {', '.join(one.changes)}: {_one_line(verdicts(one))}")
    lines += ["manifests and limits:"] if review.settings else []
    lines += [f"  {_one_line(one.what)}: {_one_line(one.told)}" for one in review.settings]
    lines += [_missing(why, labels) for why, labels in review.unreplayable.items()]
    lines += [f"over the budget: {line}" for line in judged.exceeded]
    return plain("\n".join(lines))


def _missing(why: str, labels: Sequence[str]) -> str:
    told = ", ".join(map(_one_line, labels[:SHOWN_LABELS]))
    more = " …" if len(labels) > SHOWN_LABELS else ""
    return f"not asked again, because {why}: {len(labels)} ({told}{more})"


def _one_line(text: str) -> str:
    return text.replace("\n", "�")
