"""What no decision shows of a changed bundle."""

from dataclasses import replace
from typing import Any

from proxy.model.ledger import Limits
from proxy.model.tool import Effect, ToolManifest
from proxy.pdp.manifests import Catalogue
from proxy.pdp.review.settings import Setting, settings_between

LIMITS = Limits(100, 500, 3600)
HTTP = {"method": "GET", "path": "/rows"}


def catalogue(limits: Limits = LIMITS, **tools: dict[str, Any]) -> Catalogue:
    """Return one with these tools of the server `s`."""
    known = {
        ("s", name): ToolManifest("s", name, Effect.READ, document=document)
        for name, document in tools.items()
    }
    return Catalogue(known, limits, {"acme/loop": LIMITS}, {}, {})


def test_the_same_differs_in_nothing() -> None:
    """Whatever it holds."""
    one = catalogue(get={"effect": "read", "http": HTTP})
    assert settings_between(one, one) == ()


def test_a_manifest_that_differs_is_told_by_its_members() -> None:
    """The request of a read may be that of something else now; tools come and go."""
    old = catalogue(get={"effect": "read", "http": HTTP, "pin": "a"}, gone={"effect": "read"})
    new = catalogue(get={"effect": "read", "http": HTTP | {"path": "/drop"}}, new={})
    assert settings_between(old, new) == (
        Setting("manifest of s/get", "another http, pin"),
        Setting("manifest of s/gone", "gone"),
        Setting("manifest of s/new", "new"),
    )


def test_a_limit_that_is_raised_is_looser() -> None:
    """So is a shorter window; an agent without limits of its own has the default's."""
    raised = catalogue(Limits(100, 501, 60))
    assert settings_between(catalogue(), raised) == (
        Setting("limits of default", "agent_risk 500 → 501", is_looser=True),
        Setting("limits of default", "window_s 3600 → 60", is_looser=True),
    )
    own = replace(catalogue(), agents={"acme/loop": Limits(99, 500, 3600)})
    assert settings_between(catalogue(), own) == (
        Setting("limits of acme/loop", "session_risk 100 → 99"),
    )
    assert settings_between(own, replace(own, agents={})) == (
        Setting("limits of acme/loop", "session_risk 99 → 100", is_looser=True),
    )
