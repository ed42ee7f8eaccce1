"""Where the rest of an input ends: who calls, in which mode, with which labels and what budget.

Each yields a name and a changed copy of a policy input; every path a rule may read is also taken
away once, because what is missing must not disarm a rule.
"""

import copy
from collections.abc import Iterator, Sequence
from typing import Any

from proxy.model.session import Mode
from proxy.model.tool import Effect
from proxy.pdp.review.edges import MISSING, twin

Path = tuple[str, ...]
Changed = Iterator[tuple[str, dict[str, Any]]]

UNTRUSTED = "untrusted_content"
RECENT = 10

_SESSION: Path = ("context", "session")
_FIXED: tuple[tuple[str, Path, tuple[Any, ...]], ...] = (
    ("type of subject", ("subject", "type"), ("user", "Agent", MISSING)),
    ("delegations", ("subject", "delegation_depth"), (2, 3, -1, "0", MISSING)),
    ("action", ("action", "name"), ("tools/list", "TOOLS/CALL", MISSING)),
    ("dry run", ("action", "dry_run"), (True, "false", None, MISSING)),
    ("effect", ("action", "effect"), (*(str(one) for one in Effect), "delete", MISSING)),
    ("manifest", ("resource", "manifest"), (None, {}, MISSING)),
    ("type of resource", ("resource", "type"), ("method", MISSING)),
    ("mode", (*_SESSION, "mode"), (*(str(one) for one in Mode), "READ_WRITE", None, MISSING)),
    ("labels", (*_SESSION, "labels"), ([], [UNTRUSTED], ["pii"], UNTRUSTED, None, MISSING)),
    ("session", _SESSION, (None, MISSING)),
    ("flags", ("context", "flags"), (["bidi"], ["unheard_of"], "bidi", None, MISSING)),
    ("urls", ("context", "urls"), (["https://evil.example/"], None, MISSING)),
    ("arguments", ("context", "arguments"), ({}, [], None, MISSING)),
    ("permission mode", ("context", "meta"), ({"permission_mode": "default"},)),
    ("no questions", ("context", "meta"), ({"permission_mode": "bypassPermissions"}, MISSING)),
    ("approvals", ("context", "approvals"), ([{"id": "apr_1", "by": "suite"}], MISSING)),
    ("context", ("context",), ({}, MISSING)),
    ("subject", ("subject",), ({}, MISSING)),
)


def around(document: dict[str, Any], roles: Sequence[str]) -> Changed:
    """Yield every change of an input beside its arguments. `roles` are those of the bundle."""
    yield from _of_roles(document, roles)
    for name, path, values in _FIXED:
        for value in values:
            yield f"{name}: {_shown(value)}", changed(document, path, value)
    yield from _of_names(document)
    yield from _of_budgets(document)
    step = {"tool": document["resource"]["id"], "verdict": "deny", "outcome": "denied"}
    yield "refused ten times", changed(document, (*_SESSION, "recent"), [step] * RECENT)


def changed(document: dict[str, Any], path: Path, value: Any) -> dict[str, Any]:
    """Return a copy of an input with another value there; MISSING takes it away."""
    copied = copy.deepcopy(document)
    place = copied
    for step in path[:-1]:
        place = place[step]
    if value is MISSING:
        place.pop(path[-1], None)
    else:
        place[path[-1]] = value
    return copied


def _of_roles(document: dict[str, Any], roles: Sequence[str]) -> Changed:
    own = document["subject"].get("roles", [])
    first = str(own[0]) if own else "role"
    for role in roles:
        yield f"role {role}", changed(document, ("subject", "roles"), [role])
    for name, value in (
        ("no role", []),
        ("an unknown role", ["nobody"]),
        ("other case of the role", [first.swapcase()]),
        ("Unicode twin of the role", [twin(first)]),
        ("a role that is a text", first),
        ("roles missing", MISSING),
    ):
        yield name, changed(document, ("subject", "roles"), value)


def _of_names(document: dict[str, Any]) -> Changed:
    """Yield names that only look like the tool's; the gateway knows no manifest for them."""
    resource = document["resource"]
    server, tool = resource["server"], resource["tool"]
    for name, other in (
        ("other case of the tool", tool.swapcase()),
        ("Unicode twin of the tool", twin(tool)),
        ("tool one character longer", f"{tool}s"),
    ):
        if other == tool:
            continue
        unknown = {**resource, "tool": other, "id": f"{server}/{other}", "manifest": None}
        yield name, changed(document, ("resource",), unknown)
        kept = {**resource, "tool": other, "id": f"{server}/{other}"}
        yield f"{name}, with its manifest", changed(document, ("resource",), kept)


def _of_budgets(document: dict[str, Any]) -> Changed:
    risk = (document["resource"]["manifest"] or {}).get("risk", 1)
    for account in ("budget", "agent_budget"):
        for name, value in (
            ("just enough", {"limit": risk, "used": 0, "held": 0}),
            ("one too little", {"limit": risk, "used": 1, "held": 0}),
            ("held by others", {"limit": risk, "used": 0, "held": 1}),
            ("without held", {"limit": risk, "used": 0}),
            ("negative", {"limit": 100, "used": -1_000, "held": 0}),
            ("in text", {"limit": "100", "used": "0", "held": "0"}),
            ("none", MISSING),
        ):
            yield f"{account}: {name}", changed(document, (*_SESSION, account, "risk"), value)


def _shown(value: Any) -> str:
    return "missing" if value is MISSING else str(value)
