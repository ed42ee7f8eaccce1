"""What every engine evaluates alike, and in bounded time."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from proxy.errors import PolicyInvalid
from proxy.pdp.capabilities import CAPABILITIES
from proxy.pdp.findings.finding import Finding
from proxy.pdp.lint.modules import Module, Name, Source
from proxy.pdp.lint.nodes import (
    MEMBERS,
    Node,
    calls_in,
    domains_in,
    is_ref,
    line_of,
    nodes_of,
    steps_of,
)
from proxy.pdp.opa_command import run_opa

BUILTIN = "builtin-not-portable"
HISTORY = "unbounded-history"

RECENT = ("input", "context", "session", "recent")
# `neq`, `equal` and `eq` compare, which ends with the shorter list.
_BOUNDED = frozenset(
    {"array.slice", "assign", "count", "eq", "equal", "is_array", "is_object", "neq", "object.get"}
)
CAPABILITIES_TIMEOUT_S = 30.0


def known_builtins(directory: Path, opa: Path) -> frozenset[str]:
    """Return the name of every builtin of this OPA. Raises PolicyInvalid."""
    done = run_opa(opa, directory, ("capabilities", "--current"), CAPABILITIES_TIMEOUT_S)
    try:
        return frozenset(builtin["name"] for builtin in json.loads(done.stdout)["builtins"])
    except (ValueError, KeyError):
        raise PolicyInvalid("opa tells no capabilities. Cure: set policy.opa") from None


def portable_builtins() -> frozenset[str]:
    """Return the builtins a policy may use."""
    document = json.loads(CAPABILITIES.read_text())
    return frozenset(builtin["name"] for builtin in document["builtins"])


def builtins(source: Source, refused: frozenset[str]) -> Iterator[Finding]:
    """Yield each call to one of the refused builtins."""
    cure = "take it from the input, or write it with the builtins of capabilities.json"
    for module in source.modules:
        trees = [[rule.key, rule.value, list(rule.body)] for rule in module.rules]
        for name, _, node in calls_in(trees):
            if name in refused:
                problem = f"{name} is not the same in every engine, or not the same tomorrow"
                yield Finding(module.file, line_of(node), BUILTIN, problem, cure)


def history(source: Source) -> Iterator[Finding]:
    """Yield each pass over the recent steps of a session that has no end of its own."""
    for module in source.modules:
        found: set[int] = set()
        for rule in module.rules:
            trees = [rule.key, rule.value, *rule.body]
            local = source.locals_of(module, rule)
            found |= {line_of(node) for node in _passes(source, module, trees, local)}
        for line in sorted(found):
            yield Finding(
                module.file,
                line,
                HISTORY,
                "this goes through the whole history of a session, at every call",
                "take a fixed number of steps by array.slice first",
            )


def _passes(
    source: Source, module: Module, trees: list[Node | None], local: Mapping[str, Name]
) -> Iterator[Node]:
    for domain, node in domains_in(trees):
        if source.term_name(module, domain, local) == RECENT:
            yield node
    for node in nodes_of(trees):
        if is_ref(node) and _is_any_step(source.name_of(module, node, local), node):
            yield node
    for called, operands, node in calls_in(trees):
        names = [source.term_name(module, operand, local) for operand in operands]
        if not _is_bounded(called) and any(name and name == RECENT[: len(name)] for name in names):
            yield node


def _is_bounded(called: str) -> bool:
    """Whether a call takes no step of a list it is given: it slices, counts, tests, renames it."""
    return called in _BOUNDED or called.removeprefix("internal.") in MEMBERS


def _is_any_step(name: Name, node: Node) -> bool:
    """Whether a reference goes through the steps by a variable."""
    below = name[: len(RECENT)] == RECENT and len(name) > len(RECENT)
    if not below or name[len(RECENT)] is not None:
        return False
    step = steps_of(node)[len(RECENT) - len(name)]
    return bool(step["type"] == "var")
