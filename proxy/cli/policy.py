"""`detent policy test`: Rego tests with coverage, then the YAML suites, on a real OPA."""

import asyncio
import sys
from pathlib import Path

import click

from proxy.app.build import TOOLS
from proxy.app.policies import PolicyReport, check_policies
from proxy.cli.options import json_option
from proxy.pdp.find_opa import find_opa


@click.group()
def policy() -> None:
    """Work on policies."""


@policy.command()
@click.argument("bundle", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--coverage", default=95.0, show_default=True, help="Lowest coverage, in percent.")
@json_option
def test(bundle: Path, coverage: float, as_json: bool) -> None:
    """Run the Rego tests and the suites of BUNDLE, a directory."""
    report = asyncio.run(check_policies(bundle, find_opa(tools_dir=TOOLS).path))
    click.echo(report.to_json() if as_json else _text(report, coverage))
    sys.exit(0 if report.is_good(coverage) else 1)


def _text(report: PolicyReport, coverage: float) -> str:
    rego = report.rego
    lines = [f"rego tests: {rego.passed} passed, {len(rego.failures)} failed"]
    lines += [f"  failed: {name}" for name in rego.failures]
    lines.append(f"coverage:   {rego.coverage:.1f} % of lines (at least {coverage:g})")
    lines += [f"  not covered: {place}" for place in rego.not_covered]
    failed = len(report.suite_failures)
    lines.append(f"suites:     {report.suites_passed} cases passed, {failed} failed")
    lines += [f"  failed: {failure}" for failure in report.suite_failures]
    lines.append(f"revision:   {report.revision}")
    return "\n".join(lines)
