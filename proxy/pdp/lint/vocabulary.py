"""The words a decision is made of: reason ids from the table, obligations the gateway can meet."""

from collections.abc import Iterator, Mapping, Sequence

from proxy.pdp.findings.finding import Finding
from proxy.pdp.lint.modules import Module, Rule, Source
from proxy.pdp.lint.nodes import Node, call_of, calls_in, is_ref, line_of, nodes_of

UNKNOWN_REASON = "reason-unknown"
UNREADABLE_REASON = "reason-unreadable"
UNUSED_REASON = "reason-unused"
UNKNOWN_OBLIGATION = "obligation-unknown"

TABLE = "reasons/data.yaml"
REASONS_LIB = ("data", "detent", "lib", "reasons")
_BY_ID = frozenset({(*REASONS_LIB, "of"), (*REASONS_LIB, "about")})
_WRITTEN_OUT = frozenset({"array", "boolean", "null", "number", "object", "set", "string"})
_WITH_REASON = frozenset({"allow", "deny", "deny_tool", "hold"})


def reasons(source: Source, table: Mapping[str, str]) -> Iterator[Finding]:
    """Yield ids without a sentence, ids that cannot be read, and sentences without a use."""
    used: set[str] = set()
    for module in source.modules:
        for rule in module.rules if module.package != REASONS_LIB[1:] else ():
            for id_node in _ids_named(source, module, rule):
                ids = _texts(source, module, rule, id_node)
                used |= ids
                yield from _judged(module, line_of(id_node) or rule.line, ids, table)
            if module.rule_name and rule.name in _WITH_REASON and _is_no_reason(rule.key):
                yield from _judged(module, rule.line, set(), table)
        used |= {id_ for rule in module.rules for id_ in _literal_ids(rule)}
    for id_ in sorted(table.keys() - used):
        cure = "remove the sentence, or name the id in a rule"
        yield Finding(TABLE, 1, UNUSED_REASON, f"no rule gives the reason {id_}", cure)


def obligations(source: Source, known: frozenset[str]) -> Iterator[Finding]:
    """Yield obligations of a type the gateway does not know: it would deny every such call."""
    cure = f"use one of {', '.join(sorted(known))}"
    for module in source.modules:
        for rule in module.rules if module.rule_name else ():
            if rule.name != "obligations" or rule.key is None:
                continue
            kind = _member(rule.key, "type")
            if kind is None or kind.get("type") != "string":
                problem = "the type of this obligation cannot be read before the call"
                yield Finding(module.file, rule.line, UNKNOWN_OBLIGATION, problem, cure)
            elif kind["value"] not in known:
                problem = f"the gateway knows no obligation {kind['value']}"
                yield Finding(module.file, line_of(kind), UNKNOWN_OBLIGATION, problem, cure)


def _ids_named(source: Source, module: Module, rule: Rule) -> Iterator[Node]:
    """Yield the term that is the id, wherever a reason is made."""
    trees = [part for part in (rule.key, rule.value, *rule.body) if part is not None]
    for _, operands, node in calls_in(trees):
        operator = (node.get("terms") or node["value"])[0]
        if operands and source.name_of(module, operator, {}) in _BY_ID:
            yield operands[0]
    if module.rule_name and rule.name in _WITH_REASON and rule.key is not None:
        literal = _member(rule.key, "id")
        if literal is not None:
            yield literal


def _is_no_reason(key: Node | None) -> bool:
    """Whether a set contains something that is written out and has no id."""
    return key is not None and key["type"] in _WRITTEN_OUT and _member(key, "id") is None


def _literal_ids(rule: Rule) -> Iterator[str]:
    """Yield the ids of reasons that are written out, as in a default decision."""
    for node in nodes_of([rule.value, rule.key]):
        literal = _member(node, "id")
        if literal is not None and literal.get("type") == "string":
            yield str(literal["value"])


def _judged(
    module: Module, line: int, ids: set[str], table: Mapping[str, str]
) -> Iterator[Finding]:
    if not ids:
        problem = "the id of this reason cannot be read before the call"
        cure = 'write reasons.of("id"), or take the id from a table of constants'
        yield Finding(module.file, line, UNREADABLE_REASON, problem, cure)
    for id_ in sorted(ids - table.keys()):
        cure = f"add the id with its sentence to {TABLE}"
        yield Finding(module.file, line, UNKNOWN_REASON, f"no sentence is written for {id_}", cure)


def _texts(source: Source, module: Module, rule: Rule, term: Node) -> set[str]:
    """Return every text a term can be: itself, a constant of a table, what a function gives."""
    if term["type"] == "string":
        return {str(term["value"])}
    call = call_of(term)
    operator = term["value"][0] if call is not None else term
    if not is_ref(operator):
        return set()
    bound = _bound_to(rule.body, term) if term["type"] == "var" else None
    if bound is not None:
        return _texts(source, module, rule, bound)
    found = source.defined(source.name_of(module, operator, {}))
    return {text for _, one in found if one.value for text in _constants(one.value)}


def _bound_to(body: Sequence[Node], variable: Node) -> Node | None:
    """Return what a body says a variable is."""
    for expression in body:
        call = call_of(expression)
        if call is None or call[0] not in {"assign", "eq"}:
            continue
        left, right = call[1]
        if left.get("type") == "var" and left["value"] == variable["value"]:
            return right
    return None


def _constants(value: Node) -> Iterator[str]:
    """Yield the texts of a constant: itself, or the values of an object, an array or a set."""
    if value["type"] == "string":
        yield str(value["value"])
    elif value["type"] == "object":
        yield from (str(item["value"]) for _, item in value["value"] if item["type"] == "string")
    elif value["type"] in {"array", "set"}:
        yield from (str(item["value"]) for item in value["value"] if item["type"] == "string")


def _member(term: Node, name: str) -> Node | None:
    """Return a member of an object that is written out."""
    pairs: list[tuple[Node, Node]] = term.get("value", []) if term.get("type") == "object" else []
    return next((value for key, value in pairs if key.get("value") == name), None)
