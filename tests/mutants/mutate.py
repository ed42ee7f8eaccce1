"""Mutants of the policies: each is the bundle without one thing that decides.

A statement of a body becomes `true`, a rule is gone, a constant loses one element. What is removed
is found in the tree that OPA parses; its bytes are cut from the file.
"""

import base64
import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proxy.pdp.lint.nodes import Node, nodes_of

_COLLECTIONS = frozenset({"array", "set"})


@dataclass(frozen=True, slots=True)
class Mutant:
    """`file` with `content` instead of what it holds; `line` and `removed` say what is gone."""

    file: str
    line: int
    removed: str
    content: bytes

    @property
    def key(self) -> str:
        """File and what is gone, on one line: the same wherever in the file it stands."""
        return f"{self.file}: {' '.join(self.removed.split())}"

    @property
    def name(self) -> str:
        """File, line, and the first line of what is gone."""
        return f"{self.file}:{self.line}: {self.removed.splitlines()[0]}"


def mutants(bundle: Path, opa: Path) -> Iterator[Mutant]:
    """Yield every mutant of every policy of a bundle; tests are left alone."""
    for path in sorted(bundle.rglob("*.rego")):
        if not path.name.endswith("_test.rego"):
            yield from _of_file(bundle, path, opa)


def _of_file(bundle: Path, path: Path, opa: Path) -> Iterator[Mutant]:
    arguments = ["parse", "--format", "json", "--json-include", "locations", str(path)]
    parsed = subprocess.run([opa, *arguments], capture_output=True, check=True)
    text = path.read_bytes()
    seen: set[tuple[int, int]] = set()
    for node, by in _removable(json.loads(parsed.stdout)):
        begin, end = _span(text, node["location"])
        if (begin, end) in seen:
            continue
        seen.add((begin, end))
        yield Mutant(
            file=path.relative_to(bundle).as_posix(),
            line=node["location"]["row"],
            removed=text[begin:end].decode(),
            content=text[:begin] + by + _after(text, end, by),
        )


def _removable(tree: Node) -> Iterator[tuple[Node, bytes]]:
    """Yield each node that can go, and what takes its place."""
    for rule in tree.get("rules") or ():
        yield _whole(rule), b""
        for node in nodes_of([rule["body"], rule["head"].get("value"), rule.get("else")]):
            for expression in node.get("body") or ():
                yield from _statement(expression)
        for expression in rule["body"]:
            yield from _statement(expression)
        for element in _elements(rule["head"].get("value")):
            yield element, b""


def _statement(expression: Node) -> Iterator[tuple[Node, bytes]]:
    """Yield a statement that somebody wrote and that decides; `some x` only names a variable."""
    terms = expression.get("terms")
    symbols = terms.get("symbols", ()) if isinstance(terms, dict) else ()
    names_only = bool(symbols) and all(symbol["type"] == "var" for symbol in symbols)
    if expression.get("generated") is not True and "location" in expression and not names_only:
        yield expression, b"true"


def _whole(rule: Node) -> Node:
    """Return a node with the place of the whole rule; of a default OPA tells the keyword only."""
    if rule.get("default") is not True:
        return rule
    head, keyword = rule["head"]["location"], rule["location"]
    text = b"default " + base64.b64decode(head["text"])
    return {"location": {**keyword, "text": base64.b64encode(text).decode()}}


def _elements(value: Any) -> Iterator[Node]:
    """Yield the elements of a constant list or set that has more than one."""
    is_many = isinstance(value, dict) and value.get("type") in _COLLECTIONS
    if is_many and len(value["value"]) > 1:
        yield from (element for element in value["value"] if element["type"] != "ref")


def _span(text: bytes, location: Node) -> tuple[int, int]:
    """Return where a node stands in the file, in bytes; columns count characters, from 1."""
    begin = 0
    for _ in range(location["row"] - 1):
        begin = text.index(b"\n", begin) + 1
    line = text[begin:].split(b"\n", 1)[0].decode()
    begin += len(line[: location["col"] - 1].encode())
    written = base64.b64decode(location["text"])
    if not text.startswith(written, begin):
        raise ValueError(f"line {location['row']}: OPA's place is another one")
    return begin, begin + len(written)


def _after(text: bytes, end: int, by: bytes) -> bytes:
    """Return the rest of the file; an element that is gone takes its comma along."""
    rest = text[end:]
    if by:
        return rest
    stripped = rest.lstrip()
    return stripped[1:] if stripped.startswith(b",") else rest
