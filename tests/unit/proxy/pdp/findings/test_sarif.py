"""Findings as SARIF."""

import json

from proxy.pdp.findings.finding import Finding
from proxy.pdp.findings.sarif import sarif

ABOUT = {"b-rule": "B holds.", "a-rule": "A holds."}
FOUND = Finding("rules/a/a.rego", 7, "b-rule", "it is wrong", "correct it")


def test_a_finding_is_a_result_at_its_place() -> None:
    """With the rule it breaks, by name and by place in the list of rules."""
    log = json.loads(sarif([FOUND], ABOUT, "1.2.3"))
    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    driver = run["tool"]["driver"]
    assert [rule["id"] for rule in driver["rules"]] == ["a-rule", "b-rule"]
    assert (driver["name"], driver["version"]) == ("detent", "1.2.3")
    (result,) = run["results"]
    assert driver["rules"][result["ruleIndex"]]["id"] == result["ruleId"] == "b-rule"
    place = result["locations"][0]["physicalLocation"]
    assert place == {
        "artifactLocation": {"uri": "rules/a/a.rego"},
        "region": {"startLine": 7},
    }
    assert result["message"]["text"] == "it is wrong. Cure: correct it."


def test_a_run_without_findings_says_so() -> None:
    """An empty list, by which a host closes what was found before."""
    assert json.loads(sarif([], ABOUT, "1"))["runs"][0]["results"] == []
