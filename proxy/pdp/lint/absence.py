"""What a missing argument does to a rule: it must not disarm a refusal, nor arm a permission.

A statement that reads an argument is undefined when the argument is not sent, and a rule with an
undefined statement does not fire. `not …` fires instead; `object.get` says what to take.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from proxy.pdp.findings.finding import Finding
from proxy.pdp.lint.modules import Module, Name, Rule, Source
from proxy.pdp.lint.nodes import Node, call_of, is_negated, is_ref, line_of, nodes_of, steps_of

MISSING = "missing-argument"
ABSENCE = "allow-by-absence"
NEGATION = "negation-import"

REFUSING = frozenset({"deny", "deny_tool", "hold", "obligations"})
# What a caller chooses, and so can leave out.
GIVEN = tuple(("input", "context", part) for part in ("arguments", "extras", "meta"))
_NOT = ("future", "keywords", "not")


def missing_arguments(source: Source) -> Iterator[Finding]:
    """Yield each refusal that an argument left out disarms, without another that then fires."""
    for module in source.modules:
        if not module.rule_name:
            continue
        refusals = [rule for rule in module.rules if rule.name in REFUSING]
        guarded = _guarded(source, module, refusals)
        for rule in refusals:
            for need in _Reader(source).needs(module, rule):
                if need.name not in guarded:
                    yield _disarmed(module, rule, need)


def allowed_by_absence(source: Source) -> Iterator[Finding]:
    """Yield each `not` under an allowance that reads the input: what is missing would permit."""
    for module in source.modules:
        for rule in module.rules if module.rule_name else ():
            local = source.locals_of(module, rule)
            for expression in rule.body if rule.name == "allow" else ():
                names = _names(source, module, expression, local) if is_negated(expression) else ()
                if any(name[:1] == ("input",) for name in names):
                    yield Finding(
                        module.file,
                        line_of(expression),
                        ABSENCE,
                        "the allowance holds when a part of the input is missing",
                        "say what has to be there, and refuse the rest in a deny",
                    )


def negations(source: Source) -> Iterator[Finding]:
    """Yield each module whose `not` does not hold for what is undefined inside of it."""
    for module in source.modules:
        if _NOT in module.imports.values():
            continue
        for node in (node for rule in module.rules for node in nodes_of(rule.body)):
            if node.get("negated") is True:
                yield Finding(
                    module.file,
                    line_of(node),
                    NEGATION,
                    "this `not` does not hold when a call inside of it is undefined",
                    "add `import future.keywords.not`",
                )
                break


@dataclass(frozen=True, slots=True)
class Need:
    """An argument without which a statement is undefined, and the line it is read in."""

    name: Name
    line: int


class _Reader:
    """Finds what a definition cannot do without."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._known: dict[Name, Sequence[Need]] = {}

    def needs(self, module: Module, rule: Rule) -> Sequence[Need]:
        """Return the arguments that must be there for this definition to have a value."""
        local = self._source.locals_of(module, rule)
        trees: list[Any] = [part for part in (*rule.body, rule.key, rule.value) if part is not None]
        return [need for tree in trees for need in self._in(module, tree, local)]

    def _in(self, module: Module, tree: Any, local: Mapping[str, Name]) -> Iterator[Need]:
        if isinstance(tree, list):
            for item in tree:
                yield from self._in(module, item, local)
        elif isinstance(tree, dict) and not is_negated(tree):
            yield from self._in_node(module, tree, local)

    def _in_node(self, module: Module, node: Node, local: Mapping[str, Name]) -> Iterator[Need]:
        call = call_of(node)
        if call is not None and call[0] == "object.get":
            yield from self._in(module, call[1][1:], local)
            return
        if is_ref(node):
            yield from self._behind(module, node, local)
            yield from self._in(module, steps_of(node)[1:], local)
            return
        for key, value in node.items():
            if key != "location":
                yield from self._in(module, value, local)

    def _behind(self, module: Module, node: Node, local: Mapping[str, Name]) -> Iterator[Need]:
        """Yield what a reference needs: an argument itself, or a rule that needs one."""
        name = self._source.name_of(module, node, local)
        if name[:3] in GIVEN and len(name) > 3:  # noqa: PLR2004 one of the three steps above
            if not str(steps_of(node)[-1]["value"]).startswith("$"):
                yield Need(name[:4], line_of(node))
            return
        yield from (Need(need.name, line_of(node)) for need in self._of_rule(name))

    def _of_rule(self, name: Name) -> Sequence[Need]:
        """Return what no definition of a rule can do without; a default always can."""
        if name not in self._known:
            self._known[name] = ()  # a rule that depends on itself: OPA refuses it
            definitions = self._source.defined(name)
            every = [self.needs(owner, rule) for owner, rule in definitions if not rule.is_default]
            is_needed = len(every) == len(definitions) and all(every)
            self._known[name] = every[0][:1] if every and is_needed else ()
        return self._known[name]


def _guarded(source: Source, module: Module, refusals: Sequence[Rule]) -> set[Name]:
    """Return the arguments whose absence fires a refusal of the same rule."""
    guarded: set[Name] = set()
    for rule in refusals:
        if _Reader(source).needs(module, rule):
            continue
        local = source.locals_of(module, rule)
        for expression in rule.body:
            if is_negated(expression):
                guarded |= {name[:4] for name in _names(source, module, expression, local)}
    return {name for name in guarded if name[:3] in GIVEN and None not in name}


def _names(source: Source, module: Module, tree: Any, local: Mapping[str, Name]) -> Iterator[Name]:
    """Yield what every reference in a tree stands for."""
    return (source.name_of(module, node, local) for node in nodes_of(tree) if is_ref(node))


def _disarmed(module: Module, rule: Rule, need: Need) -> Finding:
    what = ".".join(step if step is not None else "…" for step in need.name[2:])
    return Finding(
        module.file,
        need.line or rule.line,
        MISSING,
        f"without {what} this `{rule.name}` does not fire",
        "say what has to hold and refuse the rest by `not …`, or read it with object.get",
    )
