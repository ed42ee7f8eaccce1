"""`detent policy test`: Rego tests with coverage, then the YAML suites, on a real OPA."""

import asyncio
import sys
from pathlib import Path

import click

from proxy.app.policies import check_policies
from proxy.cli.options import json_option
from proxy.cli.policy_lint import sarif_option
from proxy.cli.policy_report import print_cases, text, write_reports
from proxy.pdp.find_opa import find_opa


@click.command("test")
@click.argument("bundle", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--coverage", default=95.0, show_default=True, help="Lowest coverage, in percent.")
@click.option("--table", is_flag=True, help="Print every case of the suites as a table.")
@click.option(
    "--junit",
    "junit_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Also write every test and case as JUnit XML into this file.",
)
@sarif_option
@json_option
def test_command(
    *,
    bundle: Path,
    coverage: float,
    table: bool,
    junit_file: Path | None,
    sarif_file: Path | None,
    as_json: bool,
) -> None:
    """Run the Rego tests and the suites of BUNDLE, a directory; every rule must be whole."""
    report = asyncio.run(check_policies(bundle, find_opa().path))
    write_reports(report, coverage, junit_file, sarif_file)
    if table and not as_json:
        print_cases(report.results)
    click.echo(report.to_json() if as_json else text(report, coverage))
    sys.exit(0 if report.is_good(coverage) else 1)
