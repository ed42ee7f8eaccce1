"""Outcomes as JUnit XML."""

from xml.dom.minidom import Element, parseString

import pytest

from proxy.pdp.findings.finding import Finding
from proxy.pdp.findings.junit import junit
from proxy.pdp.findings.outcome import COMPLETE, REGO, SUITES, Outcome

GOOD = Outcome(REGO, "a.test_x", "a_test.rego", 3)
BAD = Outcome(SUITES, "a: c", "suites/a.yaml", 7, "verdict is deny, not allow")
LACK = Finding("rules/a/a.rego", 1, COMPLETE, "a has no page", "write it")


def read(text: str) -> Element:
    """Return the root of a report we have just written."""
    root = parseString(text).documentElement  # noqa: S318 our own words
    assert root is not None
    return root


def test_each_kind_is_a_suite_with_its_counts() -> None:
    """And the whole has those of all."""
    document = read(junit([BAD, GOOD], [LACK]))
    suites = document.getElementsByTagName("testsuite")
    counts = [
        [suite.getAttribute(name) for name in ("name", "tests", "failures")] for suite in suites
    ]
    assert counts == [[REGO, "1", "0"], [COMPLETE, "1", "1"], [SUITES, "1", "1"]]
    assert (document.getAttribute("tests"), document.getAttribute("failures")) == ("3", "2")


def test_a_failure_has_its_place_and_its_message() -> None:
    """What passed has no message."""
    document = read(junit([BAD, GOOD], []))
    passed, failed = document.getElementsByTagName("testcase")
    assert passed.childNodes == []
    assert (failed.getAttribute("file"), failed.getAttribute("line")) == ("suites/a.yaml", "7")
    (failure,) = failed.getElementsByTagName("failure")
    assert failure.getAttribute("message") == "verdict is deny, not allow"


@pytest.mark.parametrize("name", ['<a> & "b"', "a\x00b\x1b[31m", "a\ud800", "ä\n"])
def test_any_name_makes_a_document(name: str) -> None:
    """What XML cannot hold is replaced."""
    document = read(junit([Outcome(REGO, name, "a", 1)], []))
    assert len(document.getElementsByTagName("testcase")) == 1
