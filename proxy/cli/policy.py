"""`detent policy test`: Rego tests with coverage, then the YAML suites, on a real OPA."""

import asyncio
import sys
from pathlib import Path

import click

from proxy.app import PolicyReport, check_policies
from proxy.cli.options import json_option


@click.group()
def policy() -> None:
    """Work on policies."""


@policy.command()
@click.argument("bundle", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--coverage", default=95.0, show_default=True, help="Lowest coverage, in percent.")
@json_option
def test(bundle: Path, coverage: float, as_json: bool) -> None:
    """Run the Rego tests and the suites of a bundle."""
    report = asyncio.run(check_policies(bundle))
    click.echo(report.to_json() if as_json else _text(report, coverage))
    sys.exit(0 if report.is_good(coverage) else 1)


def _text(report: PolicyReport, coverage: float) -> str:
    lines = [f"rego tests: {report.rego_passed} passed, {report.rego_failed} failed"]
    lines += [f"  failed: {name}" for name in report.rego_failures]
    lines.append(f"coverage:   {report.coverage:.1f} % (at least {coverage:g} %)")
    lines.append(
        f"suites:     {report.suite_passed} cases passed, {len(report.suite_failures)} failed"
    )
    lines += [f"  failed: {failure}" for failure in report.suite_failures]
    lines.append(f"revision:   {report.revision}")
    return "\n".join(lines)
