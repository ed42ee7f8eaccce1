"""`opa test` on a bundle's source."""

from collections.abc import Callable
from pathlib import Path

import pytest

from proxy.errors import PolicyInvalid
from proxy.pdp.rego_tests import RegoReport, opa_test

Written = Callable[[dict[str, str]], Path]

RULE = "package a\n\nx := 1 if input.y\n\nz := 2\n"
TESTS = """package a_test

import data.a

test_z if a.z == 2

test_cases[note] if {
	some note, value in {"one": 2, "two": 2}
	a.z == value
}
"""
X_TEST = '\ntest_x if a.x == 1 with input as {"y": true}\n'


def test_passed_tests_are_counted_and_coverage_is_measured(written: Written, opa: Path) -> None:
    """Each case of a table counts; what no test reaches is named."""
    report = opa_test(written({"a.rego": RULE, "a_test.rego": TESTS}), opa)
    assert (report.passed, report.failures) == (3, ())
    assert report.not_covered == ("a.rego:3",)
    assert report.coverage == 50


def test_a_folder_hides_neither_behind_its_tests_nor_behind_another(
    written: Written, opa: Path
) -> None:
    """A rule with one line in two untested, among many lines of tests and of other rules."""
    many = "package b\n\n" + "".join(f"x{n} := {n}\n\n" for n in range(50))
    all_of = "\n".join(f"\tdata.b.x{n} == {n}" for n in range(50))
    tests = f"package b_test\n\ntest_all if {{\n{all_of}\n}}\n"
    files = {"a/a.rego": RULE, "a/a_test.rego": TESTS, "b/b.rego": many, "b/b_test.rego": tests}
    assert opa_test(written(files), opa).coverage == 50


def test_every_case_is_told_with_its_place(written: Written, opa: Path) -> None:
    """For the reports of machines."""
    report = opa_test(written({"a.rego": RULE, "a_test.rego": TESTS}), opa)
    assert {(case.name, case.is_passed, case.file, case.line) for case in report.cases} == {
        ("a_test.test_z", True, "a_test.rego", 5),
        ("a_test.test_cases[one]", True, "a_test.rego", 7),
        ("a_test.test_cases[two]", True, "a_test.rego", 7),
    }


def test_full_coverage_is_good(written: Written, opa: Path) -> None:
    """A hundred percent are a hundred."""
    report = opa_test(written({"a.rego": RULE, "a_test.rego": TESTS + X_TEST}), opa)
    assert report == RegoReport(4, (), 100.0, ())
    assert report.is_good(100.0)


@pytest.mark.parametrize(
    ("broken", "name"),
    [
        ("test_bad if a.z == 3", "a_test.test_bad"),
        ('test_bad[note] if {\n\tsome note in ["c"]\n\ta.z == 3\n}', "a_test.test_bad[c]"),
        ("test_bad if count(1, 2) == 1", None),
        ("todo_test_bad if a.z == 2", "a_test.todo_test_bad"),
        ("test_bad if {a.z := 1}", None),
    ],
)
def test_a_test_that_does_not_pass_is_named(
    written: Written, opa: Path, broken: str, name: str | None
) -> None:
    """Failed and skipped ones; what cannot be compiled is told as such."""
    directory = written({"a.rego": RULE, "a_test.rego": f"{TESTS}\n{broken}\n"})
    if name is None:
        with pytest.raises(PolicyInvalid, match="Cure: "):
            opa_test(directory, opa)
        return
    report = opa_test(directory, opa)
    assert report.failures == (name,)
    assert (report.passed, report.coverage) == (3, 0.0)
    assert not report.is_good(0.0)


def test_without_tests_nothing_is_good(written: Written, opa: Path) -> None:
    """No test is no proof."""
    report = opa_test(written({"a.rego": RULE}), opa)
    assert report == RegoReport(0, (), 0.0, ())
    assert not report.is_good(0.0)


@pytest.mark.parametrize(
    ("report", "good"),
    [
        (RegoReport(1, (), 95.0, ()), True),
        (RegoReport(1, (), 94.9, ()), False),
        (RegoReport(1, ("x",), 100.0, ()), False),
    ],
)
def test_a_report_is_good_at_its_threshold(report: RegoReport, good: bool) -> None:
    """In percent."""
    assert report.is_good(95.0) is good


def test_tests_may_use_no_more_than_policies(written: Written, opa: Path) -> None:
    """A test that calls out would not be the same tomorrow."""
    test = "\ntest_clock if time.now_ns() > 0\n"
    with pytest.raises(PolicyInvalid, match=r"time\.now_ns"):
        opa_test(written({"a.rego": RULE, "a_test.rego": TESTS + test}), opa)
