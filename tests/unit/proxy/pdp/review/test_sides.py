"""An input as each bundle's gateway would build it, and what is decided on it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from proxy.model.ledger import Limits
from proxy.model.tool import Effect, ToolManifest
from proxy.pdp.base import StagedBundle
from proxy.pdp.manifests import Catalogue
from proxy.pdp.review import batch
from proxy.pdp.review.sides import Side, fitted
from proxy.pipeline.enforce import KNOWN_OBLIGATIONS


def side(name: str, *, risk: int = 1, limit: int = 10, tools: bool = True) -> Side:
    """Return a bundle with one tool."""
    document = {"effect": "write" if risk == 1 else "read", "risk": risk}
    tool = ToolManifest("s", "t", Effect.WRITE, risk=risk, document=document)
    known = {("s", "t"): tool} if tools else {}
    limits = Limits(limit, 100, 60)
    catalogue = Catalogue(known, limits, {"acme/b": replace(limits, agent_risk=7)}, {}, {})
    return Side(name, StagedBundle(Path("/none"), name), catalogue)


OLD, NEW, NONE = side("old"), side("new", risk=2, limit=20), side("none", tools=False)


def asked(agent: str = "a", **resource: Any) -> dict[str, Any]:
    """Return an input that was made under OLD."""
    return {
        "subject": {"tenant": "acme", "id": agent},
        "action": {"name": "tools/call", "effect": "write"},
        "resource": {"id": "s/t", "server": "s", "tool": "t", **resource},
        "context": {
            "session": {
                "budget": {"risk": {"limit": 10, "used": 3, "held": 0}},
                "agent_budget": {"risk": {"limit": 100, "used": 3, "held": 0}},
            }
        },
    }


@pytest.mark.parametrize("given", [{}, {"manifest": {"effect": "write", "risk": 1}}])
def test_the_manifest_comes_from_the_bundle(given: dict[str, Any]) -> None:
    """Whether the input has that of the other one, or none; the effect with it."""
    for one, risk, effect in ((OLD, 1, "write"), (NEW, 2, "read")):
        made = fitted(asked(**given), one, OLD)
        assert made["resource"]["manifest"]["risk"] == risk
        assert made["action"]["effect"] == effect


def test_a_manifest_of_its_own_stays() -> None:
    """A suite's case may describe a tool that nobody has."""
    own = asked(manifest={"risk": 99})
    assert fitted(own, NEW, OLD)["resource"]["manifest"] == {"risk": 99}


def test_the_revision_is_that_of_the_bundle() -> None:
    """A rule may read it; where there was none, none is made up."""
    document = asked()
    document["context"]["policy_revision"] = "of then"
    for one in (OLD, NEW):
        assert fitted(document, one, OLD)["context"]["policy_revision"] == one.bundle.revision
    assert "policy_revision" not in fitted(asked(), NEW, OLD)["context"]


def test_a_tool_that_is_gone_has_no_manifest() -> None:
    """It is refused as unknown."""
    made = fitted(asked(), NONE, OLD)
    assert made["resource"]["manifest"] is None
    assert made["action"]["effect"] is None


def test_limits_come_from_the_bundle() -> None:
    """Those of each agent; what was used stays, and so does a smaller limit of a session."""
    session = fitted(asked(), NEW, OLD)["context"]["session"]
    assert session["budget"]["risk"] == {"limit": 20, "used": 3, "held": 0}
    assert session["agent_budget"]["risk"]["limit"] == 100
    smaller = asked()
    smaller["context"]["session"]["budget"]["risk"]["limit"] = 5
    assert fitted(smaller, NEW, OLD)["context"]["session"]["budget"]["risk"]["limit"] == 5


def test_without_an_origin_limits_stay() -> None:
    """Nobody knows which were the bundle's."""
    assert fitted(asked(), NEW, None)["context"] == asked()["context"]
    assert fitted(asked(), OLD, OLD)["context"] == asked()["context"]


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"resource": 1, "subject": {}},
        {"resource": {}, "subject": {}, "context": {}},
        {"resource": {}, "subject": {}, "context": {"session": {"budget": 1}}},
        {"resource": {}, "subject": {}, "context": {"session": {"budget": {"risk": 1}}}},
    ],
)
def test_what_is_no_input_is_left(odd: dict[str, Any]) -> None:
    """The policy refuses it."""
    made = fitted(odd, NEW, OLD)
    assert made.get("context") == odd.get("context")


def test_a_side_decides_as_a_gateway(shipped: Side, opa: Path) -> None:
    """What is no decision, or has an obligation nobody can meet, is a deny."""
    refused, why = shipped.answer(opa, {}, KNOWN_OBLIGATIONS)
    assert shipped.answers(opa, [{}], KNOWN_OBLIGATIONS) == [(refused, why)]
    assert (refused.verdict, why) == ("deny", "")
    assert "default-deny" in refused.reasons or "unknown-tool" in refused.reasons


def test_no_answer_is_a_deny(tmp_path: Path) -> None:
    """With why."""
    opa = tmp_path / "opa"
    opa.write_text("#!/bin/sh\necho broken >&2\n")
    opa.chmod(0o755)
    bundle = StagedBundle(tmp_path, "r")
    refused, why = replace(OLD, bundle=bundle).answer(opa, {}, frozenset())
    assert (refused.reasons, why) == (("policy-unavailable",), "broken")


def test_what_was_not_asked_is_no_deny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody knows what a gateway would decide on it."""
    monkeypatch.setattr(batch, "MAX_FAILED_RUNS", 0)
    monkeypatch.setattr(batch, "MAX_FAILING_S", 0.0)
    opa = tmp_path / "opa"
    opa.write_text("#!/bin/sh\necho broken >&2\n")
    opa.chmod(0o755)
    bundle = StagedBundle(tmp_path, "r")
    answers = replace(OLD, bundle=bundle).answers(opa, [{}, {}], frozenset())
    assert answers == [(None, "broken")] * 2
