"""The whole lint, on the shipped policies and on spoilt copies of them."""

from pathlib import Path

import pytest

from proxy.pdp.lint.run import ABOUT, lint

KNOWN = frozenset({"dry_run", "human_attended", "mask"})
BUDGET = "rules/budget/budget.rego"
HISTORY = '\nhold contains reasons.of("budget-unknown") if "x" in input.context.session.recent\n'
SPOILT = [
    (BUDGET, "not has_room(account)", "not has_room(account)\n\tinput.context.arguments.n > 1"),
    (BUDGET, '"budget-unknown"', '"budget-unkown"'),
    (BUDGET, "is_number(figure)", "is_number(figure)\n\ttime.now_ns() > 0"),
    (BUDGET, "import future.keywords.not\n", ""),
    (BUDGET, "deny contains", "denies contains"),
    (BUDGET, "# A budget that", "# lint: missing-argument: no\n# A budget that"),
    (BUDGET, "deny contains reasons.of(problem(account))", "deny contains problem(account)"),
    ("rules/session_mode/session_mode.rego", '"dry_run"}', '"dryrun"}'),
    ("rules/role_allowlist/role_allowlist.rego", "if is_allowed", "if not input.guest"),
    ("main.rego", "\tdata.detent.rules.budget.deny\n", ""),
    ("reasons/data.yaml", "unknown-tool:", "unknown-took: x\nunknown-tool:"),
    (BUDGET, "accounts := {", HISTORY + "\naccounts := {"),
    (BUDGET, "accounts := {", "spent := input.context.budget\n\naccounts := {"),
]
RULES = [
    "missing-argument",
    "reason-unknown",
    "builtin-not-portable",
    "negation-import",
    "rule-decides-nothing",
    "exception",
    "reason-unused",
    "obligation-unknown",
    "allow-by-absence",
    "rule-not-missed",
    "reason-unused",
    "unbounded-history",
    "input-unknown",
]


def test_the_shipped_policies_are_clean(policies: Path, opa: Path) -> None:
    """Two exceptions, each with its why."""
    assert lint(policies, opa, KNOWN) == ()


@pytest.mark.parametrize(("spoilt", "rule"), list(zip(SPOILT, RULES, strict=True)), ids=RULES)
def test_each_check_is_part_of_the_lint(
    source: Path, opa: Path, spoilt: tuple[str, str, str], rule: str
) -> None:
    """One change, and it is found in its file."""
    name, old, new = spoilt
    text = (source / name).read_text()
    assert old in text
    (source / name).write_text(text.replace(old, new))
    found = lint(source, opa, KNOWN)
    assert rule in {finding.rule for finding in found}
    assert list(found) == sorted(found)


def test_every_finding_has_its_sentence() -> None:
    """For readers of SARIF."""
    assert set(RULES) | {"reason-unreadable"} == set(ABOUT)
    assert all(sentence.endswith(".") for sentence in ABOUT.values())
