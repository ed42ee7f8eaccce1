"""What a part of the input that is missing does to a rule: switch it off, or switch it on.

Where it is not plain which of the two, it is taken for both.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from proxy.pdp.lint.guards import (
    GIVEN,
    Guard,
    guards_of,
    is_given,
    is_guarded,
    may_hold_arguments,
)
from proxy.pdp.lint.modules import WHOLE, Module, Name, Rule, Source
from proxy.pdp.lint.nodes import MEMBERS, Node, is_ref, line_of, nodes_of, steps_of

# The name of what cannot be seen through: any argument may be read there.
OPAQUE: Name = ()

_KINDS = frozenset({"is_array", "is_boolean", "is_null", "is_number", "is_object", "is_string"})
_COMPREHENSIONS = frozenset({"arraycomprehension", "objectcomprehension", "setcomprehension"})


@dataclass(frozen=True, slots=True)
class Need:
    """What is read, and the line it is read in."""

    name: Name
    line: int


@dataclass(frozen=True, slots=True)
class Effect:
    """The parts whose absence makes a statement fail (`off`), or makes it hold (`on`)."""

    off: frozenset[Need] = frozenset()
    on: frozenset[Need] = frozenset()

    @property
    def turned(self) -> "Effect":
        """The effect on `not` of it."""
        return Effect(self.on, self.off)

    @property
    def either(self) -> "Effect":
        """The effect on something that may hold for any value of it."""
        return Effect(self.off | self.on, self.off | self.on)

    def without(self, rule: Rule, guards: Sequence[Guard]) -> "Effect":
        """Return it without what another definition holds for when it is missing."""
        if not rule.is_plain:
            return self
        return Effect(
            frozenset(need for need in self.off if not is_guarded(rule, need.name, guards)), self.on
        )

    def at(self, line: int) -> "Effect":
        """Return it as seen from the line that asks."""
        off, on = ({Need(need.name, line) for need in part} for part in (self.off, self.on))
        return Effect(frozenset(off), frozenset(on))


@dataclass(frozen=True, slots=True)
class _Scope:
    module: Module
    local: Mapping[str, Name]


def joined(effects: Iterable[Effect]) -> Effect:
    """Return the effect of several statements together."""
    every = list(effects)
    off = frozenset[Need]().union(*(effect.off for effect in every))
    return Effect(off, frozenset[Need]().union(*(effect.on for effect in every)))


class Effects:
    """Reads definitions: for the arguments, or (`is_all`) for whatever the input has."""

    def __init__(self, source: Source, *, is_all: bool = False) -> None:
        self._source = source
        self._is_all = is_all
        self._known: dict[tuple[tuple[str, ...], str, bool], tuple[Effect, bool]] = {}

    def of_rule(self, module: Module, rule: Rule, *, is_constant: bool = False) -> Effect:
        """Return what absence does to one definition; a function may be called with constants."""
        # A parameter may be anything of the input; of the arguments a call hands on none whole.
        part: Name = ("data", "") if is_constant else ("input", None)
        named = {one["value"]: part for one in rule.parameters if one["type"] == "var"}
        local = self._source.locals_in(module, rule.body, named if self._is_all else {})
        scope = _Scope(module, local)
        heads = [part for part in (rule.key, rule.value) if part is not None]
        return joined([self._body(scope, rule.body), *(self._term(scope, one) for one in heads)])

    def _body(self, scope: _Scope, body: Sequence[Node]) -> Effect:
        local = self._source.locals_in(scope.module, body, scope.local)
        inner = _Scope(scope.module, local)
        return joined(self._expression(inner, expression) for expression in body)

    def _expression(self, scope: _Scope, expression: Node) -> Effect:
        terms: Any = expression["terms"]
        if expression.get("negated") is True:
            return self._expression(scope, {**expression, "negated": False}).turned
        replaced = [self._replaced(scope, one) for one in expression.get("with") or ()]
        if isinstance(terms, list):
            return joined([*replaced, self._call(scope, expression, is_nested=False)])
        if terms.get("type") == "not":
            return joined([*replaced, self._body(scope, terms["body"]).turned])
        if "symbols" in terms:
            return joined(self._term(scope, one) for one in terms["symbols"])
        if "domain" in terms:
            is_open = self._source.term_name(scope.module, terms["domain"], scope.local) in GIVEN
            passed = self._term(scope, terms["domain"], may_be_whole=is_open)
            return joined([passed, self._body(scope, terms["body"])])
        return joined([*replaced, self._term(scope, terms, is_nested=False)])

    def _replaced(self, scope: _Scope, replacement: Node) -> Effect:
        """Return the effect of `with`: what is asked under it sees another input."""
        effect = self._term(scope, replacement["value"])
        if self._source.name_of(scope.module, replacement["target"], {})[:1] != ("input",):
            return effect
        return joined([effect, _opaque(replacement["target"])])

    def _term(
        self, scope: _Scope, term: Node, *, is_nested: bool = True, may_be_whole: bool = False
    ) -> Effect:
        """Return the effect of a term; `may_be_whole` where all arguments at once do no harm."""
        kind = term.get("type")
        if is_ref(term):
            return self._ref(scope, term, is_nested=is_nested, is_open=may_be_whole)
        if kind == "call":
            return self._call(scope, term, is_nested=is_nested, may_be_whole=may_be_whole)
        if kind in _COMPREHENSIONS:
            made = term["value"]
            local = self._source.locals_in(scope.module, made["body"], scope.local)
            inner = _Scope(scope.module, local)
            heads = [made[key] for key in ("key", "value", "term") if key in made]
            every = [self._body(inner, made["body"]), *(self._term(inner, one) for one in heads)]
            return joined(every).either
        effect = joined(self._parts(scope, term.get("value")))
        return effect.either if kind == "templatestring" else effect

    def _parts(self, scope: _Scope, tree: Any) -> Iterable[Effect]:
        """Yield the effects of what is written out: a list, a set, an object, a text."""
        if isinstance(tree, dict) and "terms" in tree:
            yield self._expression(scope, tree)
        elif isinstance(tree, dict) and "type" in tree:
            yield self._term(scope, tree)
        elif isinstance(tree, list | dict):
            for part in tree.values() if isinstance(tree, dict) else tree:
                yield from self._parts(scope, part)

    def _call(
        self, scope: _Scope, node: Node, *, is_nested: bool, may_be_whole: bool = False
    ) -> Effect:
        parts: list[Node] = node.get("terms") or node["value"]
        operator, *operands = parts
        name = ".".join(str(step["value"]) for step in steps_of(operator))
        if name == "object.get":
            return self._got(scope, node, operands, may_be_whole=may_be_whole)
        harmless = self._harmless(scope, name, operands)
        read = [
            self._term(scope, operand, may_be_whole=place in harmless)
            for place, operand in enumerate(operands)
        ]
        return joined([self._called(scope, operator, operands, is_nested=is_nested), *read])

    def _called(
        self, scope: _Scope, operator: Node, operands: Sequence[Node], *, is_nested: bool
    ) -> Effect:
        names = (
            self._source.name_of(scope.module, node, scope.local)
            for node in nodes_of(list(operands))
            if is_ref(node)
        )
        is_constant = all(name[:1] == ("data",) for name in names)
        name = self._source.name_of(scope.module, operator, scope.local)
        return self._asked(name, operator, is_nested=is_nested, is_constant=is_constant)

    def _harmless(self, scope: _Scope, called: str, operands: Sequence[Node]) -> set[int]:
        """Return the operands that may be all arguments at once: tested, renamed, gone through."""
        if called in _KINDS or not operands:
            return {0}
        first, last = operands[0], operands[-1]
        if called in {"assign", "eq"}:
            return {0, 1} if first.get("type") == "var" and first["value"] in scope.local else set()
        is_by_name = len(operands) > len(("value", "list")) and first.get("type") != "var"
        if called.removeprefix("internal.") not in MEMBERS or is_by_name:
            return set()
        name = self._source.term_name(scope.module, last, scope.local)
        return {len(operands) - 1} if name in GIVEN else set()

    def _got(
        self, scope: _Scope, node: Node, operands: Sequence[Node], *, may_be_whole: bool
    ) -> Effect:
        what, *others = operands
        read = [self._term(scope, what, may_be_whole=True)]
        read += [self._term(scope, other) for other in others]
        name = self._source.term_name(scope.module, {**node, "type": "call"}, scope.local)
        if self._is_all and name[:1] == ("input",):
            read.append(Effect(off=frozenset({Need(name, line_of(node))})))
        elif may_hold_arguments(name) and not may_be_whole:
            read.append(_opaque(node))
        return joined(read)

    def _ref(self, scope: _Scope, node: Node, *, is_nested: bool, is_open: bool) -> Effect:
        name = self._source.name_of(scope.module, node, scope.local)
        steps = [self._term(scope, step) for step in steps_of(node)[1:]]
        return joined([*steps, self._behind(name, node, is_nested=is_nested, is_open=is_open)])

    def _behind(self, name: Name, node: Node, *, is_nested: bool, is_open: bool) -> Effect:
        """Return the effect of what a reference stands for."""
        if self._is_all and name[:1] == ("input",):
            return Effect(off=frozenset({Need(name, line_of(node))}))
        if is_given(name):
            is_any = len(name) == WHOLE + 1 and _is_wildcard(steps_of(node)[-1])
            need = Need(name[: WHOLE + 1], line_of(node))
            return Effect() if is_any else Effect(off=frozenset({need}))
        if may_hold_arguments(name):
            return _opaque(node) if is_nested and not is_open else Effect()
        return self._asked(name, node, is_nested=is_nested)

    def _asked(
        self, name: Name, node: Node, *, is_nested: bool, is_constant: bool = False
    ) -> Effect:
        """Return the effect of the rule or function that a path leads to."""
        if not self._source.defined(name):
            return _opaque(node) if self._source.is_above(name) else Effect()
        effect, is_total = self._of_name(name, is_constant=is_constant)
        if is_nested:
            off = effect.off | effect.on
            effect = Effect(off, off if is_total else effect.on)
        return effect.at(line_of(node))

    def _of_name(self, name: Name, *, is_constant: bool) -> tuple[Effect, bool]:
        """Return the effect on all definitions of a rule, and whether it has a value anyway."""
        definitions = self._source.defined(name)
        place = (definitions[0][0].package, definitions[0][1].name, is_constant)
        if place not in self._known:
            self._known[place] = (Effect(), False)  # one that depends on itself: OPA refuses it
            self._known[place] = self._together(definitions, is_constant=is_constant)
        return self._known[place]

    def _together(
        self, definitions: Sequence[tuple[Module, Rule]], *, is_constant: bool
    ) -> tuple[Effect, bool]:
        rules = [rule for _, rule in definitions]
        effects = [
            self.of_rule(module, rule, is_constant=is_constant) for module, rule in definitions
        ]
        guards = [
            guard
            for (module, rule), effect in zip(definitions, effects, strict=True)
            if rule.is_plain and not effect.off
            for guard in guards_of(self._source, module, rule)
        ]
        turned = (
            effect.turned if rule.literal is False else effect.without(rule, guards)
            for rule, effect in zip(rules, effects, strict=True)
        )
        is_boolean = all(rule.literal is not None and not rule.is_else for rule in rules)
        is_total = any(
            rule.is_default or rule.is_else or rule.key is not None or rule.literal is False
            for rule in rules
        )
        effect = joined(turned)
        return (effect if is_boolean or not is_total else effect.either), is_total


def _opaque(node: Node) -> Effect:
    return Effect(off=frozenset({Need(OPAQUE, line_of(node))})).either


def _is_wildcard(step: Node) -> bool:
    return bool(step["type"] == "var") and str(step["value"]).startswith("$")
