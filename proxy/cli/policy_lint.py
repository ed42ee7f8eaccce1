"""`detent policy lint`: what OPA accepts and a reviewer overlooks."""

import importlib.metadata
import json
import sys
from dataclasses import asdict
from pathlib import Path

import click

from proxy.cli.options import json_option
from proxy.cli.plain import plain
from proxy.pdp.find_opa import find_opa
from proxy.pdp.findings.sarif import sarif
from proxy.pdp.lint.run import ABOUT, lint
from proxy.pipeline.enforce import KNOWN_OBLIGATIONS

sarif_option = click.option(
    "--sarif",
    "sarif_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Also write the findings as SARIF 2.1.0 into this file.",
)


@click.command("lint")
@click.argument("bundle", type=click.Path(path_type=Path, exists=True, file_okay=False))
@sarif_option
@json_option
def lint_command(bundle: Path, sarif_file: Path | None, as_json: bool) -> None:
    """Check the rules of BUNDLE, a directory, for what disarms a guardrail.

    Exits with 1 when something is found. `# lint: <rule>: <why>` above a line excepts it.
    """
    findings = lint(bundle, find_opa().path, KNOWN_OBLIGATIONS)
    if sarif_file is not None:
        sarif_file.write_text(sarif(findings, ABOUT, importlib.metadata.version("detent")) + "\n")
    if as_json:
        click.echo(json.dumps({"findings": [asdict(finding) for finding in findings]}))
    else:
        for finding in findings:
            click.echo(plain(str(finding)))
        click.echo(f"{len(findings)} findings" if findings else "nothing found")
    sys.exit(1 if findings else 0)
