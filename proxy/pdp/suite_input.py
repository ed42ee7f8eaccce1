"""The policy input of a suite's case: the document the gateway builds, with the case's changes."""

import re
from collections.abc import Mapping
from typing import Any

from proxy.errors import PolicyInvalid
from proxy.pdp.manifests import Catalogue

FULL_BUDGET = {"limit": 100, "used": 0, "held": 0}
NO_HASH = "0" * 64

_WORKSPACE = re.compile(r"\$([a-z0-9_-]+)(?=/|\Z)")


def decision_input(given: Mapping[str, Any], catalogue: Catalogue) -> dict[str, Any]:
    """Return the input of `data.detent.main.decision` (CONTRACTS section 4).

    `$name` at the start of an argument stands for the path of that workspace. Raises
    PolicyInvalid when the tool is neither in the bundle nor described by the case.
    """
    resource = _resource(given, catalogue)
    return {
        "subject": _subject(given),
        "action": {
            "name": resource["tool"] if resource["type"] == "method" else "tools/call",
            "effect": (resource["manifest"] or {}).get("effect"),
            "dry_run": given.get("dry_run", False),
        },
        "resource": resource,
        "context": {
            "arguments": _placed(given.get("arguments", {}), catalogue.workspaces),
            "extras": given.get("extras", {}),
            "meta": given.get("meta", {}),
            "input_responses": given.get("input_responses", {}),
            "arguments_sha256": NO_HASH,
            "urls": given.get("urls", []),
            "flags": given.get("flags", []),
            "session": {
                "id": "suite",
                "mode": given["mode"],
                "step": 1,
                "labels": given.get("labels", []),
                "budget": {"risk": given.get("budget", FULL_BUDGET)},
                "agent_budget": {"risk": given.get("agent_budget", FULL_BUDGET)},
                "transaction": None,
                "recent": [],
            },
            "approvals": [],
            "epoch": 0,
            "time": "2026-01-01T00:00:00Z",
            "policy_revision": "suite",
        },
    }


def visible_input(given: Mapping[str, Any], catalogue: Catalogue) -> dict[str, Any]:
    """Return the input of `data.detent.main.visible` for the same subject, mode and tool."""
    return {
        "subject": _subject(given),
        "action": {"name": "tools/list"},
        "resources": [_resource(given, catalogue)],
        "context": {"session": {"id": "suite", "mode": given["mode"]}},
    }


def _subject(given: Mapping[str, Any]) -> dict[str, Any]:
    role = given["role"]
    return {
        "type": "agent",
        "id": "suite",
        "tenant": "suite",
        "roles": role if isinstance(role, list) else [role],
        "on_behalf_of": None,
        "delegation_depth": 0,
        **given.get("subject", {}),
    }


def _resource(given: Mapping[str, Any], catalogue: Catalogue) -> dict[str, Any]:
    server, _, tool = given["tool"].partition("/")
    known = catalogue.tools.get((server, tool))
    manifest = known.document if known else None
    if "manifest" in given:
        manifest = {**(manifest or {}), **given["manifest"]}
    elif known is None and given.get("known", True):
        raise PolicyInvalid(
            f"{given['name']}: {given['tool']} is not in the bundle. Cure: correct it, describe it "
            "in `manifest`, or say `known: false`"
        )
    return {
        "type": "method" if "/" in tool else "tool",
        "id": given["tool"],
        "server": server,
        "tool": tool,
        "manifest": manifest,
    }


def _placed(value: Any, workspaces: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _placed(member, workspaces) for key, member in value.items()}
    if isinstance(value, list):
        return [_placed(item, workspaces) for item in value]
    match = _WORKSPACE.match(value) if isinstance(value, str) else None
    if match is None or match[1] not in workspaces:
        return value
    return workspaces[match[1]] + value[match.end() :]
