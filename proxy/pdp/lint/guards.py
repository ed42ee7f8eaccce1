"""The names of arguments, and definitions that hold when one of them is missing."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from proxy.pdp.lint.modules import WHOLE, Module, Name, Rule, Source
from proxy.pdp.lint.nodes import Node, call_of, is_negated, is_ref, steps_of

# What a caller chooses, and so can leave out.
GIVEN = tuple(("input", "context", part) for part in ("arguments", "extras", "meta"))


@dataclass(frozen=True, slots=True)
class Guard:
    """An argument whose absence makes a definition hold, where its other statements hold too."""

    name: Name
    others: frozenset[str]


def is_given(name: Name) -> bool:
    """Whether a name is, or may be, one argument or a part of it."""
    return len(name) > WHOLE and may_hold_arguments(name[:WHOLE])


def may_hold_arguments(name: Name) -> bool:
    """Whether arguments are below: the input, its context, all arguments, or an unknown part."""
    return 0 < len(name) <= WHOLE and any(
        all(step in {None, fixed} for step, fixed in zip(name, given, strict=False))
        for given in GIVEN
    )


def guards_of(source: Source, module: Module, rule: Rule) -> Iterator[Guard]:
    """Yield the arguments that a `not` of a definition cannot do without."""
    local = source.locals_of(module, rule)
    for index, expression in enumerate(rule.body):
        if not is_negated(expression) or "with" in expression:
            continue
        terms = expression["terms"]
        is_old = expression.get("negated") is True
        inner = [{"terms": terms}] if is_old else terms["body"]
        others = frozenset(_text(one) for place, one in enumerate(rule.body) if place != index)
        for name in _needed(source, module, inner, local):
            if is_given(name) and None not in name[: WHOLE + 1]:
                yield Guard(name[: WHOLE + 1], others)


def is_guarded(rule: Rule, name: Name, guards: Sequence[Guard]) -> bool:
    """Whether one of the guards holds wherever this definition would, were the argument there."""
    said = frozenset(_text(expression) for expression in rule.body)
    return any(guard.name == name and guard.others <= said for guard in guards)


def _needed(source: Source, module: Module, tree: Any, local: Mapping[str, Name]) -> Iterator[Name]:
    """Yield what statements are undefined without: no `object.get`, no comprehension."""
    if isinstance(tree, list):
        for part in tree:
            yield from _needed(source, module, part, local)
    elif is_ref(tree):
        yield source.name_of(module, tree, local)
        yield from _needed(source, module, steps_of(tree)[1:], local)
    elif isinstance(tree, dict) and not is_negated(tree) and "with" not in tree:
        call = call_of(tree)
        if call is not None and call[0] != "object.get":
            yield from _needed(source, module, call[1], local)
        elif call is None and not str(tree.get("type")).endswith("comprehension"):
            named = (tree.get(key) for key in ("terms", "symbols", "domain"))
            yield from _needed(source, module, [part for part in named if part], local)


def _text(expression: Node) -> str:
    """Return a statement as text that does not depend on where it stands."""
    return json.dumps(_bare(expression), sort_keys=True)


def _bare(tree: Any) -> Any:
    if isinstance(tree, list):
        return [_bare(part) for part in tree]
    if isinstance(tree, dict):
        unsaid = {"location", "index"}
        return {key: _bare(part) for key, part in tree.items() if key not in unsaid}
    return tree
