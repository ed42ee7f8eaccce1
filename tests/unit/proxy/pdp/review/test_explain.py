"""A decision in words: by the shipped policies, on a real OPA."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from proxy.errors import PolicyInvalid
from proxy.pdp.lint.modules import Source, parse
from proxy.pdp.review.explain import Explanation, Looked, explain
from proxy.pdp.review.record import DecisionRecord
from proxy.pdp.review.sides import Side
from proxy.pdp.suites import Case, load_suites
from proxy.pipeline.enforce import KNOWN_OBLIGATIONS

POLICIES = Path(__file__).parents[5] / "policies"


@pytest.fixture(scope="session")
def source(shipped: Side, opa: Path) -> Source:
    """The modules of the shipped policies."""
    return parse(shipped.bundle.directory, opa)


@pytest.fixture(scope="session")
def cases(shipped: Side) -> dict[str, Case]:
    """The shipped suites by name."""
    return {case.name: case for case in load_suites(POLICIES, shipped.catalogue)}


def record(asked: dict[str, Any], verdict: str, *reasons: str, **more: Any) -> DecisionRecord:
    """Return a record of a decision."""
    answer = {
        "verdict": verdict,
        "reasons": [{"id": reason, "message": f"About {reason}."} for reason in reasons],
        "obligations": [],
        "grant": None,
        "cost": {"risk": 0},
        "labels": [],
    }
    return DecisionRecord("dec_1", "now", "acme", "e", asked, answer, "sha256:1", **more)


@pytest.fixture
def told(shipped: Side, source: Source, opa: Path) -> Any:
    """Explain a record."""

    def tell(given: DecisionRecord) -> Explanation:
        return explain(given, shipped, source, opa, KNOWN_OBLIGATIONS)

    return tell


def first(cases: dict[str, Case], verdict: str, reason: str) -> dict[str, Any]:
    """Return the input of the first case that expects this."""
    found = (
        case.decision
        for case in cases.values()
        if case.expected["verdict"] == verdict and case.expected.get("reasons") == [reason]
    )
    return copy.deepcopy(next(found))


def test_a_refusal_names_its_rule_its_place_and_the_values(told: Any, cases: Any) -> None:
    """The sentence is the one the agent got."""
    asked = first(cases, "deny", "suspicious-characters")
    found = told(record(asked, "deny", "suspicious-characters"))
    (fired,) = found.fired
    assert (found.verdict, found.note, fired.rule) == ("deny", "", "suspicious_text")
    assert (fired.said, fired.reason) == ("refuses it", "suspicious-characters")
    assert fired.places[0].startswith("rules/suspicious_text/suspicious_text.rego:")
    effect = asked["resource"]["manifest"]["effect"]
    assert fired.looked_at == (
        Looked("context.flags", json.dumps(asked["context"]["flags"])),
        Looked("resource.manifest.effect", json.dumps(effect)),
    )


def test_an_allowance_names_what_allows(told: Any, cases: Any) -> None:
    """And conditions, when there are any."""
    asked = first(cases, "allow", "role-allows-tool")
    found = told(record(asked, "allow", "role-allows-tool"))
    assert ("role_allowlist", "allows it") in [(one.rule, one.said) for one in found.fired]


def test_a_hold_names_what_holds(told: Any, cases: Any) -> None:
    """An operator may approve it."""
    asked = first(cases, "hold", "approval-required")
    found = told(record(asked, "hold", "approval-required"))
    assert "holds it for an approval" in [one.said for one in found.fired]


def test_a_reason_of_no_rule_is_told_all_the_same(told: Any) -> None:
    """What the gateway or main.rego says."""
    found = told(record({}, "deny", "policy-unavailable"))
    assert "policy-unavailable" in [one.reason for one in found.fired if one.rule == "main"]
    assert "decide otherwise" in found.note


def test_what_was_missing_and_what_is_masked_is_told(told: Any, cases: Any) -> None:
    """A value that is not there is the reason as often as one that is."""
    asked = first(cases, "deny", "suspicious-characters")
    del asked["context"]["flags"]
    given = record(asked, "deny", "suspicious-characters", masked=("/resource/manifest/effect/x",))
    (fired,) = told(given).fired
    values = {one.path: one for one in fired.looked_at}
    assert values["context.flags"].value is None
    assert values["resource.manifest.effect"].is_masked


def test_left_out_arguments_are_told(told: Any, cases: Any) -> None:
    """The rules then see less than they saw."""
    asked = first(cases, "deny", "suspicious-characters")
    found = told(record(asked, "allow", "role-allows-tool", replayable=False))
    assert "left out" in found.note


def test_a_masked_record_that_decides_otherwise_says_so(told: Any, cases: Any) -> None:
    """So that nobody takes it for the whole truth."""
    asked = first(cases, "deny", "suspicious-characters")
    found = told(record(asked, "allow", "role-allows-tool", masked=("/context/arguments/x",)))
    assert found.note.endswith("Part of it is masked.")


def test_a_long_value_is_cut(told: Any, cases: Any) -> None:
    """A page is for people."""
    asked = first(cases, "deny", "suspicious-characters")
    asked["context"]["flags"] = ["x" * 999]
    (fired,) = told(record(asked, "deny", "suspicious-characters")).fired
    (value,) = (one.value for one in fired.looked_at if one.path == "context.flags")
    assert len(value) == 201


def test_a_broken_record_is_refused(told: Any) -> None:
    """What has no verdict is no answer."""
    broken = DecisionRecord("d", "t", "a", "e", {}, {}, "r")
    with pytest.raises((ValueError, PolicyInvalid), match="answer"):
        told(broken)
