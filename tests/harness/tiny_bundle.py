"""A bundle of one rule, one tool, two tests and a suite of one case: quick to stage and to test."""

import json
from pathlib import Path
from typing import Any

DECISION: dict[str, Any] = {
    "verdict": "allow",
    "reasons": [{"id": "fine", "message": "Fine."}],
    "obligations": [],
    "grant": None,
    "cost": {"risk": 1},
    "labels": [],
}
VISIBLE = ["rec/read"]
READ: dict[str, Any] = {
    "effect": "read",
    "risk": 1,
    "http": {"method": "GET", "path": "/read"},
    "description": "Reads.",
    "input_schema": {"type": "object", "additionalProperties": False, "properties": {}},
}
BUDGET = {"session_risk": 10, "agent_risk": 20, "window_s": 60}
RULE = f"""\
package detent.main

decision := {json.dumps(DECISION)}

visible := {json.dumps(VISIBLE)}
"""
TESTS = """\
package detent.main_test

test_decision if data.detent.main.decision.verdict == "allow"

test_visible if count(data.detent.main.visible) == 1
"""
SUITE_HEAD = """\
reads:
  about: reads
  given: {role: any, mode: read_write, tool: rec/read}
  cases:
"""
CASE = """\
    - name: anybody reads
      expect: {verdict: allow, reasons: [fine]}
"""
BROKEN_RULE = "package detent.main\n\ndecision := f(\n"
FAILING_SUITE = SUITE_HEAD + CASE.replace("allow", "deny")
FILES = {
    ".manifest": json.dumps({"roots": ["detent", "tools", "budgets", "roles"], "rego_version": 1}),
    "main.rego": RULE,
    "main_test.rego": TESTS,
    "budgets/data.yaml": json.dumps({"default": BUDGET, "agents": {"acme/loop": BUDGET}}),
    "tools/rec/data.yaml": json.dumps({"read": READ}),
    "suites/reads.yaml": SUITE_HEAD + CASE,
}


def write(bundle: Path, files: dict[str, str] | None = None) -> Path:
    """Write the files, those of the whole bundle when none are named; return its directory."""
    for name, text in (FILES if files is None else files).items():
        (bundle / name).parent.mkdir(parents=True, exist_ok=True)
        (bundle / name).write_text(text)
    return bundle
