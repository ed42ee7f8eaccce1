"""One finding."""

from proxy.pdp.findings.finding import Finding


def test_a_finding_is_one_line_that_editors_can_follow() -> None:
    """File, line, rule, problem, cure."""
    finding = Finding("rules/a/a.rego", 7, "some-rule", "it is wrong", "correct it")
    assert str(finding) == "rules/a/a.rego:7: some-rule: it is wrong. Cure: correct it"


def test_findings_sort_by_file_and_line() -> None:
    """As a reader goes through them."""
    later, sooner = Finding("b", 1, "r", "p", "c"), Finding("a", 10, "r", "p", "c")
    first = Finding("a", 9, "s", "p", "c")
    assert sorted([later, sooner, first]) == [first, sooner, later]
