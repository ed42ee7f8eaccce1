"""What a missing argument does to a rule: it must not disarm a refusal, nor arm a permission.

A statement that reads an argument is undefined when the argument is not sent, and a rule with an
undefined statement does not fire. `not …` fires instead; `object.get` says what to take.
"""

from collections.abc import Iterator

from proxy.pdp.findings.finding import Finding
from proxy.pdp.lint.effects import OPAQUE, Effects, Need
from proxy.pdp.lint.guards import guards_of, is_guarded
from proxy.pdp.lint.modules import Module, Rule, Source
from proxy.pdp.lint.nodes import line_of, nodes_of

MISSING = "missing-argument"
ABSENCE = "allow-by-absence"
NEGATION = "negation-import"

REFUSING = frozenset({"deny", "deny_tool", "hold", "obligations"})
_NOT = ("future", "keywords", "not")


def missing_arguments(source: Source) -> Iterator[Finding]:
    """Yield each refusal that an argument left out disarms, without another that then fires."""
    effects = Effects(source)
    for module in source.modules:
        refusals = [rule for rule in module.rules if _set_of(rule) in REFUSING]
        every = [(rule, effects.of_rule(module, rule).off) for rule in refusals]
        sure = [rule for rule, needs in every if not needs]
        for rule, needs in every if module.rule_name else ():
            guards = [
                guard
                for other in sure
                if _set_of(other) in {_set_of(rule), "deny", "deny_tool"} - {"obligations"}
                for guard in guards_of(source, module, other)
            ]
            for need in sorted(needs, key=lambda need: need.line):
                if not is_guarded(rule, need.name, guards):
                    yield _disarmed(module, rule, need)


def allowed_by_absence(source: Source) -> Iterator[Finding]:
    """Yield what may hold under an allowance because a part of the input is missing."""
    effects = Effects(source, is_all=True)
    for module in source.modules:
        for rule in module.rules if module.rule_name else ():
            needs = effects.of_rule(module, rule).on if _set_of(rule) == "allow" else ()
            for line in sorted({need.line for need in needs}):
                yield Finding(
                    module.file,
                    line,
                    ABSENCE,
                    "the allowance may hold when a part of the input is missing",
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


def _set_of(rule: Rule) -> str:
    """Return the set a definition fills, also when it is written `deny["id"]`."""
    return rule.name.partition(".")[0]


def _disarmed(module: Module, rule: Rule, need: Need) -> Finding:
    what = ".".join(step if step is not None else "…" for step in need.name[2:])
    disarmed = f"without {what} this `{rule.name}` does not fire"
    hidden = f"which arguments this `{rule.name}` needs cannot be seen through"
    cure = "say what has to hold and refuse the rest by `not …`, or read it with object.get"
    named = "read each argument by its name, input.context.arguments.<name>, where it is needed"
    is_hidden = need.name == OPAQUE
    return Finding(
        module.file,
        need.line or rule.line,
        MISSING,
        hidden if is_hidden else disarmed,
        named if is_hidden else cure,
    )
