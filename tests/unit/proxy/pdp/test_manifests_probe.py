"""How a manifest says that a call is looked for."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from proxy.errors import PolicyInvalid
from proxy.model.tool import Condition, Match, Probe
from proxy.pdp.manifests import load_catalogue

Written = Callable[[dict[str, str]], Path]

PIN = "sha256:" + "0" * 64
BUDGETS = "default: {session_risk: 10, agent_risk: 20, window_s: 60}\n"
RECIPE: dict[str, Any] = {
    "tool": "git_log",
    "arguments": {"ref": "/branch"},
    "expect": [{"at": "/log", "contains": "/message"}, {"at": "/n", "equals": [1, None]}],
}


def with_probe(recipe: Any, **tool: Any) -> dict[str, str]:
    """Return a manifest whose commit is looked for in the log."""
    commit = {"pin": PIN, "effect": "write", "risk": 5, "recovery": "probe", "probe": recipe}
    read = {"pin": PIN, "effect": "read", "risk": 1}
    tools = json.dumps({"git_commit": commit | tool, "git_log": read})
    return {"budgets/data.yaml": BUDGETS, "tools/repo/data.yaml": tools}


def test_a_probe_is_a_read_and_what_to_expect_of_it(written: Written) -> None:
    """Pointers into the call, and into the answer."""
    known = load_catalogue(written(with_probe(RECIPE))).tools["repo", "git_commit"]
    assert known.probe == Probe(
        "git_log",
        (("ref", "/branch"),),
        (
            Condition("/log", Match.CONTAINS, "/message"),
            Condition("/n", Match.EQUALS, "[1, null]"),
        ),
    )


def test_a_probe_may_say_what_is_no_trace(written: Written) -> None:
    """So that an error of the tool is not taken for one."""
    recipe = RECIPE | {"absent": [{"at": "/status", "argument": "/code"}]}
    known = load_catalogue(written(with_probe(recipe))).tools["repo", "git_commit"]
    assert known.probe is not None
    assert known.probe.absent == (Condition("/status", Match.ARGUMENT, "/code"),)


@pytest.mark.parametrize(
    ("recipe", "tool", "told"),
    [
        (RECIPE | {"expect": []}, {}, "probe.expect"),
        (RECIPE | {"expect": [{"at": "/a"}]}, {}, "probe.expect.0"),
        (RECIPE | {"expect": [{"at": "/a", "equals": 1, "argument": "/b"}]}, {}, "probe.expect.0"),
        (RECIPE | {"expect": [{"at": "a", "equals": 1}]}, {}, "probe.expect.0.at"),
        (RECIPE | {"retry": True}, {}, "probe"),
        (RECIPE, {"recovery": "opaque"}, "a probe beside another recovery"),
        (RECIPE | {"tool": "git_diff"}, {}, "is not in this manifest"),
        (RECIPE | {"tool": "git_commit"}, {}, "is no read"),
    ],
)
def test_a_probe_that_cannot_look_is_refused(
    written: Written, recipe: Any, tool: Any, told: str
) -> None:
    """When the bundle is loaded, and not after a crash."""
    with pytest.raises(PolicyInvalid, match=told):
        load_catalogue(written(with_probe(recipe, **tool)))
