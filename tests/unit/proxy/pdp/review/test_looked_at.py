"""Which parts of the input a statement reads."""

from collections.abc import Callable
from pathlib import Path

import pytest

from proxy.pdp.lint.modules import Module, Source, parse
from proxy.pdp.review.looked_at import inputs_of, statements

MODULE = """package detent.rules.r

import data.detent.lib.reasons

deny contains reasons.of("first-one") if input.context.arguments.path == "/"

deny contains reasons.of("second-one") if not is_fine

deny contains reasons.of(problem) if input.action.effect == "write"

hold contains reasons.of("held-one") if true

problem := "third-one" if input.subject.id

is_fine if {
	session := input.context.session
	session.mode == "read"
	some label in session.labels
	label == input.context.arguments[label]
	object.get(input, ["context", "session", "budget", "risk"], null) != null
	object.get(input.context, "flags", []) == []
	helped(input.resource)
	is_fine_too
}

is_fine_too if helped(input.context.urls)

helped(x) if x.id == input.context.epoch
"""


@pytest.fixture
def source(opa: Path, written: Callable[[dict[str, str]], Path]) -> Source:
    """The module, parsed."""
    return parse(written({".manifest": '{"roots": ["detent"]}', "r.rego": MODULE}), opa)


@pytest.fixture
def module(source: Source) -> Module:
    return source.modules[0]


@pytest.mark.parametrize(
    ("name", "reason", "lines"),
    [
        ("deny", "first-one", [5]),
        ("deny", "second-one", [7]),
        ("deny", "third-one", [9]),
        ("hold", "other-one", [11]),
        ("allow", "first-one", []),
    ],
)
def test_a_reason_leads_to_its_statement(
    module: Module, name: str, reason: str, lines: list[int]
) -> None:
    """By its id; else to those that take theirs from elsewhere, else to all of the set."""
    assert [rule.line for rule in statements(module, name, reason)] == lines


@pytest.mark.parametrize(
    ("reason", "paths"),
    [
        ("first-one", ["context.arguments.path"]),
        ("third-one", ["action.effect", "subject.id"]),
        (
            "second-one",
            [
                "context.arguments",
                "context.epoch",
                "context.flags",
                "context.session.budget.risk",
                "context.session.labels",
                "context.session.mode",
                "context.urls",
                "resource",
            ],
        ),
    ],
)
def test_what_a_statement_reads(
    source: Source, module: Module, reason: str, paths: list[str]
) -> None:
    """Through rules, functions, other names and object.get; nothing twice."""
    found = inputs_of(source, module, statements(module, "deny", reason))
    assert [".".join(str(step) for step in name[1:]) for name in found] == paths
