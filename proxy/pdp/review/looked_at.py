"""Which parts of the input a statement of a rule reads, told from its syntax tree."""

import re
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from proxy.pdp.lint.modules import Module, Name, Rule, Source
from proxy.pdp.lint.nodes import Node, call_of, is_ref, nodes_of, steps_of

_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)+\Z")


def statements(module: Module, name: str, reason_id: str) -> tuple[Rule, ...]:
    """Return the statements of a rule's set that may have given this reason.

    Those that name its id; if none does, those that take their id from elsewhere, or all.
    """
    every = [rule for rule in module.rules if rule.name == name]
    exact = [rule for rule in every if reason_id in _ids(rule)]
    return tuple(exact or [rule for rule in every if not _ids(rule)] or every)


def inputs_of(source: Source, module: Module, rules: Sequence[Rule]) -> tuple[Name, ...]:
    """Return the paths below `input` that these statements read, and what they call, sorted.

    A path ends where a step is known only when the policy runs.
    """
    found: set[Name] = set()
    seen: set[Name] = set()
    waiting = [(module, rule) for rule in rules]
    while waiting:
        owner, rule = waiting.pop()
        for name in _names(source, owner, rule):
            if name[:1] == ("input",):
                found.add(_known_part(name))
            elif name[:1] == ("data",) and name not in seen:
                seen.add(name)
                waiting += source.defined(name)
    return tuple(sorted(name for name in found if len(name) > 1 and not _is_longer(name, found)))


def _ids(rule: Rule) -> set[str]:
    texts = (node.get("value") for node in nodes_of(rule.key) if node.get("type") == "string")
    return {text for text in texts if isinstance(text, str) and _ID.match(text)}


def _names(source: Source, module: Module, rule: Rule) -> Iterator[Name]:
    local = source.locals_of(module, rule)
    for node, below in _reads([rule.body, rule.key, rule.value], local.keys()):
        yield source.name_of(module, node, local) + below


def _reads(tree: Any, local: Collection[str]) -> Iterator[tuple[Node, Name]]:
    """Yield every reference with the steps that object.get takes below it.

    Giving a part of the input another name reads nothing of it yet.
    """
    if isinstance(tree, list):
        for item in tree:
            yield from _reads(item, local)
    elif is_ref(tree):
        yield tree, ()
        yield from _reads(steps_of(tree)[1:], local)
    elif isinstance(tree, dict) and not _is_naming(tree, local):
        got = _got(tree)
        if got is not None:
            yield got
            return
        yield from _reads([value for key, value in tree.items() if key != "location"], local)


def _is_naming(node: Node, local: Collection[str]) -> bool:
    call = call_of(node)
    if call is None or call[0] not in {"assign", "eq"}:
        return False
    variable, value = call[1]
    is_variable = variable.get("type") == "var"
    return is_variable and variable["value"] in local and is_ref(value)


def _got(node: Node) -> tuple[Node, Name] | None:
    """Return what `object.get(what, path, default)` reads: a reference and the steps below it."""
    call = call_of(node)
    if call is None or call[0] != "object.get" or not is_ref(call[1][0]):
        return None
    path: Any = call[1][1]
    steps = path["value"] if path["type"] == "array" else [path]
    return call[1][0], tuple(one["value"] if one["type"] == "string" else None for one in steps)


def _known_part(name: Name) -> Name:
    return name[: name.index(None)] if None in name else name


def _is_longer(name: Name, found: set[Name]) -> bool:
    """Whether a part of this path is there already, which is told whole."""
    return any(name[:length] in found for length in range(2, len(name)))
