"""The syntax tree as `opa parse --format json` prints it, and how to walk it.

A node is a JSON object. A term has `type` and `value`; an expression has `terms`, which is one
term, a call written as a list (operator, then operands), or a `some`, `every` or `not`.
"""

from collections.abc import Iterator
from typing import Any

Node = dict[str, Any]

MEMBERS = frozenset({"member_2", "member_3"})


def nodes_of(tree: Any) -> Iterator[Node]:
    """Yield every node of a tree, outermost first, the tree itself included."""
    if isinstance(tree, list):
        for item in tree:
            yield from nodes_of(item)
    elif isinstance(tree, dict):
        yield tree
        for key, value in tree.items():
            if key != "location":
                yield from nodes_of(value)


def line_of(node: Node) -> int:
    """Return the line a node begins in, 0 when it has none."""
    place: dict[str, int] = node.get("location") or {}
    return place.get("row", 0)


def is_ref(node: Any) -> bool:
    """Whether a node names something: a variable, or a path below one."""
    return isinstance(node, dict) and node.get("type") in {"ref", "var"}


def steps_of(node: Node) -> list[Node]:
    """Return the steps of a reference, its head first."""
    return list(node["value"]) if node["type"] == "ref" else [node]


def is_negated(expression: Node) -> bool:
    """Whether the expression holds when what it says does not."""
    terms = expression.get("terms")
    return expression.get("negated") is True or (
        isinstance(terms, dict) and terms.get("type") == "not"
    )


def call_of(node: Node) -> tuple[str, list[Node]] | None:
    """Return the dotted name and the operands of a call, as a term or as an expression."""
    parts = node.get("terms") if "terms" in node else node.get("value")
    is_call = isinstance(parts, list) and (node.get("type") == "call" or "terms" in node)
    if not is_call or not parts or not is_ref(parts[0]):
        return None
    name = ".".join(str(step["value"]) for step in steps_of(parts[0]))
    return name, parts[1:]


def calls_in(tree: Any) -> Iterator[tuple[str, list[Node], Node]]:
    """Yield name, operands and node of every call."""
    for node in nodes_of(tree):
        call = call_of(node)
        if call is not None:
            yield *call, node


def domains_in(tree: Any) -> Iterator[tuple[Node, Node]]:
    """Yield what is searched or gone through, by `in`, `some … in` and `every`, and where."""
    for node in nodes_of(tree):
        if "domain" in node:
            yield node["domain"], node
        call = call_of(node)
        if call is not None and call[0].removeprefix("internal.") in MEMBERS:
            yield call[1][-1], node
