"""Whether what a rule says is heard: `main.rego` collects some sets and misses what it names."""

from collections.abc import Iterator, Mapping

from proxy.pdp.findings.finding import Finding
from proxy.pdp.lint.modules import RULES, Module, Name, Source
from proxy.pdp.lint.nodes import Node, is_ref, nodes_of

UNHEARD = "rule-decides-nothing"
UNMISSED = "rule-not-missed"

MAIN = ("detent", "main")
SETS = frozenset({"allow", "deny", "deny_tool", "hold", "obligations"})


def wiring(source: Source) -> Iterator[Finding]:
    """Yield rules that fill none of the sets, and sets whose loss nothing would notice."""
    named = _named_in_main(source)
    for module in source.modules:
        if not module.rule_name:
            continue
        filled = {rule.name: rule.line for rule in reversed(module.rules) if rule.name in SETS}
        yield from _unheard_of(module, filled)
        if not filled and _is_alone(source, module):
            yield Finding(
                module.file,
                1,
                UNHEARD,
                f"{module.rule_name} fills none of {', '.join(sorted(SETS))}",
                "fill one of them, or move what rules share to lib/",
            )
        for name, line in filled.items():
            path = ("data", *module.package, name)
            if path not in named:
                yield Finding(
                    module.file,
                    line,
                    UNMISSED,
                    f"main.rego does not name {'.'.join(path)}, so its loss would go unnoticed",
                    "name it there under is_every_tool_rule_loaded or is_every_call_rule_loaded",
                )


def _unheard_of(module: Module, filled: Mapping[str, int]) -> Iterator[Finding]:
    """Yield what has the name of a set and is none, or stands where nobody asks."""
    below = len(module.package) - len(RULES) - 1
    for name, line in filled.items() if below else ():
        yield Finding(
            module.file,
            line,
            UNHEARD,
            f"{'.'.join(module.package)} is not asked for {name}, only packages right below "
            f"{'.'.join(RULES)} are",
            f"name the package {'.'.join(module.package[:-below])}, or give it a name of its own",
        )
    for rule in module.rules:
        if rule.name in SETS and rule.key is None and not _is_set(rule.value):
            problem = f"{rule.name} is no set here: a truth value has no members"
            cure = f"write `{rule.name} contains reasons.of(…) if {{ … }}`"
            yield Finding(module.file, rule.line, UNHEARD, problem, cure)


def _is_set(value: Node | None) -> bool:
    return value is not None and value["type"] in {"set", "setcomprehension"}


def _is_alone(source: Source, module: Module) -> bool:
    """Whether no other file of the same package fills a set."""
    files = [other for other in source.modules if other.package == module.package]
    return not any(rule.name in SETS for other in files for rule in other.rules)


def _named_in_main(source: Source) -> set[Name]:
    return {
        source.name_of(module, node, {})
        for module in source.modules
        if module.package == MAIN
        for rule in module.rules
        for node in nodes_of([rule.value, list(rule.body)])
        if is_ref(node)
    }
