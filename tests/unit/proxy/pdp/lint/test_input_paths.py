"""What is read of the input is there."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from proxy.errors import PolicyInvalid
from proxy.model.ledger import Limits
from proxy.pdp.lint.input_paths import SCHEMA, UNKNOWN_INPUT, unknown_inputs
from proxy.pdp.manifests import Catalogue
from proxy.pdp.suite_input import decision_input

Written = Callable[[dict[str, str]], Path]
HEAD = "package detent.rules.one\n\nimport future.keywords.not\n\n"


@pytest.mark.parametrize(
    ("body", "line", "told"),
    [
        ('deny contains "a" if "x" in input.context.session.lables', 5, "lables does not exist"),
        ('deny contains "a" if not input.subject.role', 5, "input.subject.role does not exist"),
        ('deny contains "a" if {\n\ts := input.context\n\ts.sesion.step > 3\n}', 7, "s.sesion"),
        ('part := input.action\n\ndeny contains "a" if part.dryrun', 7, "part.dryrun"),
        ("n := input.context.session.budget.risk.usd", 5, "usd"),
    ],
)
def test_a_path_that_leads_nowhere_is_found(
    written: Written, opa: Path, body: str, line: int, told: str
) -> None:
    """By the name it has in the rule, with what there is."""
    (found,) = unknown_inputs(written({"rules/one/one.rego": f"{HEAD}{body}\n"}), opa)
    assert (found.file, found.line, found.rule) == ("rules/one/one.rego", line, UNKNOWN_INPUT)
    assert told in found.problem


@pytest.mark.parametrize(
    "body",
    [
        "a := input.context.arguments.whatever.it[0].is",
        "a := input.resource.manifest.guards.ours.paths",
        "a := input.context.meta.permission_mode",
        "a := input.context.session.recent[0].tool",
        "a := input.resources[_].id",
        "a := object.get(input, [part], 1)\n\npart := sprintf(`%v`, [1])",
    ],
)
def test_what_others_choose_is_open(written: Written, opa: Path, body: str) -> None:
    """Arguments, meta, the reviewed manifest; and what is only known when the policy runs."""
    assert list(unknown_inputs(written({"rules/one/one.rego": f"{HEAD}{body}\n"}), opa)) == []


def test_an_opa_that_says_nothing_is_told(written: Written, tmp_path: Path) -> None:
    """With what to do."""
    opa = tmp_path / "opa"
    opa.write_text("#!/bin/sh\necho broken >&2\n")
    opa.chmod(0o755)
    with pytest.raises(PolicyInvalid, match="Cure"):
        list(unknown_inputs(written({"a.rego": "package a\n"}), opa))


def test_the_schema_has_what_the_gateway_gives() -> None:
    """No more and no less, but for what applications ask beside calls (AuthZEN)."""
    given = {"name": "a", "tool": "s/t", "role": "r", "mode": "read", "manifest": {}}
    document = decision_input(given, Catalogue({}, Limits(1, 1, 1), {}, {}, {}))
    _same(json.loads(SCHEMA.read_text()), document)


def _same(schema: dict[str, Any], given: dict[str, Any]) -> None:
    assert set(schema["properties"]) - {"properties", "resources"} == given.keys()
    assert schema["additionalProperties"] is False
    for name, part in schema["properties"].items():
        if "properties" in part:
            _same(part, given[name])
