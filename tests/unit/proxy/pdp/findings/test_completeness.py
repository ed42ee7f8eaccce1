"""What a rule lacks."""

import shutil
from pathlib import Path

import pytest

from proxy.pdp.findings.completeness import completeness

POLICIES = Path(__file__).parents[5] / "policies"


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A copy of the shipped policies to spoil."""
    return Path(shutil.copytree(POLICIES, tmp_path / "bundle"))


def test_the_shipped_rules_are_whole() -> None:
    """Code, tests, page and suite."""
    assert completeness(POLICIES) == ()


@pytest.mark.parametrize(
    ("gone", "part"),
    [
        ("rules/budget/budget_test.rego", "test"),
        ("rules/budget/README.md", "page"),
        ("suites/budget.yaml", "suite"),
    ],
)
def test_what_a_rule_lacks_is_told_at_the_rule(bundle: Path, gone: str, part: str) -> None:
    """With the file to write."""
    (bundle / gone).unlink()
    (found,) = completeness(bundle)
    assert (found.file, found.problem) == ("rules/budget/budget.rego", f"budget has no {part}")
    assert found.cure == f"write {gone}"


def test_an_empty_page_is_none(bundle: Path) -> None:
    """A file is not yet an explanation."""
    (bundle / "rules/budget/README.md").write_text("")
    assert [found.problem for found in completeness(bundle)] == ["budget has no page"]


def test_a_rule_is_found_by_its_package_wherever_it_stands(bundle: Path) -> None:
    """A second file of a rule is not another rule."""
    (bundle / "more.rego").write_text("package detent.rules.more\n")
    (bundle / "rules/budget/half.rego").write_text("package detent.rules.budget\n")
    assert {found.problem.split()[0] for found in completeness(bundle)} == {"more"}
