"""The Rego of a bundle's source, parsed by OPA, with what each name in it stands for."""

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proxy.errors import PolicyInvalid
from proxy.pdp.bundle_files import read_bundle
from proxy.pdp.lint.nodes import Node, is_ref, line_of, steps_of
from proxy.pdp.opa_command import run_opa

PARSE_TIMEOUT_S = 30.0
RULES = ("detent", "rules")

# One path of names; None is a step that is only known when the policy runs.
Name = tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class Rule:
    """One definition of a rule. `name` is its path in the package, `key` what a set contains."""

    name: str
    key: Node | None
    value: Node | None
    body: Sequence[Node]
    is_default: bool
    is_function: bool
    line: int

    @property
    def is_alias(self) -> bool:
        """Whether the rule is another name for something: one value and no condition."""
        bare = len(self.body) == 1 and self.body[0].get("generated") is True
        return bare and not self.is_function and self.key is None and is_ref(self.value)


@dataclass(frozen=True, slots=True)
class Module:
    """One file. `imports` maps the names it uses to paths; `comments` are by line, without `#`."""

    file: str
    package: tuple[str, ...]
    imports: Mapping[str, tuple[str, ...]]
    rules: tuple[Rule, ...]
    comments: Mapping[int, str]

    @property
    def rule_name(self) -> str:
        """The name of the guardrail rule whose package this is; empty when it is none's."""
        is_below = self.package[: len(RULES)] == RULES and len(self.package) > len(RULES)
        return self.package[len(RULES)] if is_below else ""


class Source:
    """All modules of a bundle without its tests, and what names mean across them."""

    def __init__(self, modules: Sequence[Module]) -> None:
        self.modules = tuple(modules)
        self._rules: dict[tuple[str, ...], list[tuple[Module, Rule]]] = {}
        for module in modules:
            for rule in module.rules:
                path = (*module.package, *rule.name.split("."))
                self._rules.setdefault(path, []).append((module, rule))

    def defined(self, name: Name) -> tuple[tuple[Module, Rule], ...]:
        """Return every definition of the rule or function a path leads to or through."""
        path = tuple(name[1:]) if name[:1] == ("data",) else ()
        for length in range(len(path), 0, -1):
            found = self._rules.get(path[:length])  # type: ignore[arg-type]  # None is in no key
            if found:
                return tuple(found)
        return ()

    def name_of(self, module: Module, node: Node, local: Mapping[str, Name]) -> Name:
        """Return what a reference stands for, from `input` or `data` on; () for a variable.

        `local` has the variables that are other names for something where the reference stands.
        """
        head, *rest = steps_of(node)
        steps = tuple(step["value"] if step["type"] == "string" else None for step in rest)
        root = self._root(module, str(head["value"]), local)
        return (*root, *steps) if root else ()

    def _root(self, module: Module, head: str, local: Mapping[str, Name]) -> Name:
        if head in {"input", "data"}:
            return (head,)
        if head in local:
            return local[head]
        if head in module.imports:
            return module.imports[head]
        found = self._rules.get((*module.package, head))
        if not found:
            return ()
        rule = found[0][1]
        if len(found) == 1 and rule.is_alias and rule.value is not None:
            return self.name_of(module, rule.value, {})
        return ("data", *module.package, head)

    def locals_of(self, module: Module, rule: Rule) -> dict[str, Name]:
        """Return the variables of a body that are other names for a part of the input."""
        local: dict[str, Name] = {}
        for expression in rule.body:
            terms = expression.get("terms")
            if not isinstance(terms, list) or len(terms) != 3:  # noqa: PLR2004 `:=` and its two sides
                continue
            operator, variable, value = terms
            is_set = steps_of(operator)[0]["value"] in {"assign", "eq"}
            if is_set and variable.get("type") == "var" and is_ref(value):
                name = self.name_of(module, value, local)
                if name[:1] == ("input",):
                    local[variable["value"]] = name
        return local


def parse(directory: Path, opa: Path) -> Source:
    """Parse every policy of a bundle's source. Blocks: call it in a thread.

    Raises PolicyInvalid with the first file that is not Rego.
    """
    files = sorted(path for path in read_bundle(directory) if path.endswith(".rego"))
    return Source([_module(file, _tree(directory, file, opa)) for file in files])


def _tree(directory: Path, file: str, opa: Path) -> dict[str, Any]:
    arguments = ("parse", "--format", "json", "--json-include", "locations,comments", f"./{file}")
    done = run_opa(opa, directory, arguments, PARSE_TIMEOUT_S)
    try:
        tree = json.loads(done.stdout)
    except ValueError:
        tree = None
    if done.returncode != 0 or not isinstance(tree, dict) or "package" not in tree:
        raise PolicyInvalid(f"{file}: cannot be parsed. Cure: `opa check --strict` shows where")
    return tree


def _module(file: str, tree: dict[str, Any]) -> Module:
    return Module(
        file=file,
        package=tuple(step["value"] for step in tree["package"]["path"][1:]),
        imports=dict(_import(entry) for entry in tree.get("imports") or ()),
        rules=tuple(rule for node in tree.get("rules") or () for rule in _rules(node)),
        comments={
            comment["Location"]["row"]: base64.b64decode(comment["Text"]).decode().strip()
            for comment in tree.get("comments") or ()
        },
    )


def _import(entry: Node) -> tuple[str, tuple[str, ...]]:
    path = tuple(str(step["value"]) for step in steps_of(entry["path"]))
    return entry.get("alias") or path[-1], path


def _rules(node: Node) -> Iterator[Rule]:
    """Yield the rule and, as definitions of their own, its `else` branches."""
    head = node["head"]
    steps = [str(step["value"]) for step in head["ref"] if step["type"] in {"var", "string"}]
    yield Rule(
        name=".".join(steps),
        key=head.get("key"),
        value=head.get("value"),
        body=node["body"],
        is_default=node.get("default") is True,
        is_function="args" in head,
        line=line_of(head) or line_of(node),
    )
    if "else" in node:
        yield from _rules(node["else"])
