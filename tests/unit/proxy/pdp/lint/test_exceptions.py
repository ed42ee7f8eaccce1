"""Exceptions to the lint."""

from collections.abc import Callable

import pytest

from proxy.pdp.findings.finding import Finding
from proxy.pdp.lint.exceptions import BAD_EXCEPTION, without_exceptions
from proxy.pdp.lint.modules import Source

Parsed = Callable[..., Source]


def at(line: int, rule: str = "some-rule") -> Finding:
    """Return a finding in that line of the rule's file."""
    return Finding("rules/one/one.rego", line, rule, "it is wrong", "correct it")


@pytest.mark.parametrize("line", [6, 7])
def test_an_exception_is_for_its_own_line_and_the_next(parsed: Parsed, line: int) -> None:
    """Whatever else is found stays."""
    source = parsed("# lint: some-rule: a reviewer agreed\na := 1\n")
    found = [at(line), at(line, "other"), at(8)]
    assert list(without_exceptions(source, found, {"some-rule"})) == found[1:]


@pytest.mark.parametrize(
    ("comment", "problem"),
    [
        ("# lint: some-rule", "does not say why"),
        ("# lint: some-rule:", "does not say why"),
        ("# lint: sum-rule: it is fine", "there is no rule sum-rule"),
        ("# lint: other-rule: it is fine", "nothing here breaks other-rule"),
        ("# lint:", "there is no rule without a name"),
    ],
)
def test_an_exception_that_is_no_good_is_a_finding(
    parsed: Parsed, comment: str, problem: str
) -> None:
    """And excepts nothing."""
    source = parsed(f"{comment}\na := 1\n")
    found = list(without_exceptions(source, [at(7)], {"some-rule", "other-rule"}))
    assert [one.rule for one in found] == [BAD_EXCEPTION, "some-rule"]
    assert problem in found[0].problem


def test_a_comment_about_lint_is_none(parsed: Parsed) -> None:
    """Nor is an exception of another file."""
    source = parsed("# the lint: see there\na := 1\n")
    assert list(without_exceptions(source, [at(7)], {"some-rule"})) == [at(7)]
