"""The Rego of a bundle's source, parsed by OPA, with what each name in it stands for."""

import base64
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proxy.errors import PolicyInvalid
from proxy.pdp.bundle_files import read_bundle
from proxy.pdp.lint.nodes import Node, call_of, is_ref, line_of, steps_of
from proxy.pdp.opa_command import run_opa

PARSE_TIMEOUT_S = 30.0
RULES = ("detent", "rules")
# Names for names for names: more are a circle, which OPA refuses.
MAX_RENAMED = 16
# As many steps as `input.context.arguments` has.
WHOLE = 3

# One path of names; None is a step that is only known when the policy runs.
Name = tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class Rule:
    """One definition of a rule. `name` is its path in the package, `key` what a set contains.

    `parameters` are those of a function; `is_else` tells a branch that stands after another.
    """

    name: str
    key: Node | None
    value: Node | None
    body: Sequence[Node]
    parameters: Sequence[Node]
    is_default: bool
    is_function: bool
    is_else: bool
    line: int

    @property
    def is_alias(self) -> bool:
        """Whether the rule is another name for something: one value and no condition."""
        bare = len(self.body) == 1 and self.body[0].get("generated") is True
        return bare and not self.is_function and self.key is None and is_ref(self.value)

    @property
    def literal(self) -> bool | None:
        """The value, when it is `true` or `false` as written."""
        is_boolean = self.value is not None and self.value["type"] == "boolean"
        return bool(self.value["value"]) if self.value is not None and is_boolean else None

    @property
    def is_plain(self) -> bool:
        """Whether the rule is only a condition: `true`, of nothing, and in no order."""
        is_alone = not (self.is_function or self.is_default or self.is_else)
        return is_alone and self.literal is True and self.key is None


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

    def is_above(self, name: Name) -> bool:
        """Whether a path may lead to a rule by a step that is not known, or is a whole package."""
        return name[:1] == ("data",) and any(
            all(step in {None, known} for step, known in zip(name[1:], path, strict=False))
            for path in self._rules
        )

    def name_of(self, module: Module, node: Node, local: Mapping[str, Name]) -> Name:
        """Return what a reference stands for, from `input` or `data` on; () for a variable.

        `local` has the variables that are other names for something where the reference stands.
        """
        name = self._written(module, node, local)
        for _ in range(MAX_RENAMED):
            renamed = self._renamed(name)
            if renamed == name:
                break
            name = renamed
        return name

    def term_name(self, module: Module, term: Node, local: Mapping[str, Name]) -> Name:
        """Return what a reference or an `object.get` stands for, its default aside."""
        if is_ref(term):
            return self.name_of(module, term, local)
        call = call_of(term)
        if call is None or call[0] != "object.get":
            return ()
        what, path, _ = call[1]
        name = self.term_name(module, what, local)
        return (*name, *_steps(path)) if name else ()

    def locals_of(self, module: Module, rule: Rule) -> dict[str, Name]:
        """Return the variables of a body that are other names for a part of the input."""
        return self.locals_in(module, rule.body, {})

    def locals_in(
        self, module: Module, body: Sequence[Node], around: Mapping[str, Name]
    ) -> dict[str, Name]:
        """Return the same for any body; `around` has those of the body it stands in."""
        local = dict(around)
        for expression in body:
            call = call_of(expression)
            if call is None or call[0] not in {"assign", "eq"}:
                continue
            variable, value = call[1]
            name = self.term_name(module, value, local)
            # An argument with a default is a value, no longer a part of the input.
            is_part = is_ref(value) or len(name) <= WHOLE or name[WHOLE - 1] == "session"
            if variable.get("type") == "var" and name[:1] == ("input",) and is_part:
                local[variable["value"]] = name
        return local

    def _written(self, module: Module, node: Node, local: Mapping[str, Name]) -> Name:
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
        known = (*module.package, head) in self._rules
        return ("data", *module.package, head) if known else ()

    def _renamed(self, name: Name) -> Name:
        """Return what a path stands for when a rule it leads through is only another name."""
        for length in range(2, len(name) + 1 if name[:1] == ("data",) else 0):
            found = self._rules.get(name[1:length])  # type: ignore[arg-type]  # None is in no key
            owner, rule = found[0] if found and len(found) == 1 else (None, None)
            if owner and rule and rule.is_alias and rule.value is not None:
                return (*self._written(owner, rule.value, {}), *name[length:])
        return name


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


def _steps(path: Node) -> Name:
    """Return the steps that `object.get` goes: one, or a list of them."""
    steps: list[Node] = path["value"] if path["type"] == "array" else [path]
    return tuple(step["value"] if step["type"] == "string" else None for step in steps)


def _rules(node: Node, *, is_else: bool = False) -> Iterator[Rule]:
    """Yield the rule and, as definitions of their own, its `else` branches."""
    head = node["head"]
    first, *rest = head["ref"]
    fixed = itertools.takewhile(lambda step: step["type"] == "string", rest)
    yield Rule(
        name=".".join(str(step["value"]) for step in (first, *fixed)),
        key=head.get("key"),
        value=head.get("value"),
        body=node["body"],
        is_default=node.get("default") is True,
        parameters=head.get("args") or (),
        is_function="args" in head,
        is_else=is_else,
        line=line_of(head) or line_of(node),
    )
    if "else" in node:
        yield from _rules(node["else"], is_else=True)
