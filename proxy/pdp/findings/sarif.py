"""Findings as SARIF 2.1.0 (OASIS), which code hosts show beside the lines they are about."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from proxy.pdp.findings.finding import Finding

SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)


def sarif(findings: Iterable[Finding], about: Mapping[str, str], version: str) -> str:
    """Return the log of one run. `about` has one sentence for each rule id that can occur.

    Every finding is an error: a guardrail has no warnings.
    """
    rules = sorted(about)
    run = {
        "tool": {
            "driver": {
                "name": "detent",
                "version": version,
                "rules": [{"id": id_, "shortDescription": {"text": about[id_]}} for id_ in rules],
            }
        },
        "columnKind": "unicodeCodePoints",
        "results": [_result(finding, rules) for finding in sorted(findings)],
    }
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2)


def _result(finding: Finding, rules: list[str]) -> dict[str, Any]:
    return {
        "ruleId": finding.rule,
        "ruleIndex": rules.index(finding.rule),
        "level": "error",
        "message": {"text": f"{finding.problem}. Cure: {finding.cure}."},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": finding.file},
                    "region": {"startLine": finding.line},
                }
            }
        ],
    }
