"""Inputs at the edges of a bundle's rules: what no log has yet, and a change may let in.

For every tool of the manifests one call that is inside, then one change at a time: each argument to
the edges of its constraint and of its type, and everything around the arguments. For every case of
the suites its arguments to the edges of their types, because a suite knows what its rule reads.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from proxy.model.tool import ToolManifest
from proxy.pdp.manifests import Catalogue
from proxy.pdp.review.around import around, changed
from proxy.pdp.review.corpus import TOO_MANY, LabelledInput
from proxy.pdp.review.edges import Edge, inside, of_constraint, of_value
from proxy.pdp.suite_input import decision_input
from proxy.pdp.suites import Case

MAX_INPUTS = 100_000
NO_ROLE = "nobody"

_ARGUMENTS = ("context", "arguments")
_SAMPLES = {
    "string": "a", "integer": 1, "number": 1, "boolean": True, "array": [], "object": {},
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Reading:
    """How the gateway reads arguments: the URLs in them and what is odd about them."""

    urls: Callable[[dict[str, Any]], Sequence[str]]
    flags: Callable[[dict[str, Any]], Sequence[str]]


@dataclass(frozen=True, slots=True)
class Reviewed:
    """A bundle as it is reviewed. `roles` maps a role to the patterns of tools it allows."""

    catalogue: Catalogue
    cases: Sequence[Case]
    roles: Mapping[str, Sequence[str]]


def boundary_inputs(
    bundle: Reviewed, reading: Reading, max_inputs: int = MAX_INPUTS
) -> tuple[LabelledInput, ...]:
    """Return the inputs in a fixed order, each once, at most `max_inputs`.

    The same bundle gives the same inputs, byte for byte. When there are more, one that is none to
    ask tells so.
    """
    kept: dict[str, LabelledInput] = {}
    labels: dict[str, int] = {}
    for label, document in _all(bundle, reading):
        key = json.dumps(document, sort_keys=True)
        if key in kept:
            continue
        if len(kept) == max_inputs:
            kept[""] = LabelledInput("boundary inputs", {}, TOO_MANY)
            break
        labels[label] = labels.get(label, 0) + 1
        shown = label if labels[label] == 1 else f"{label} ({labels[label]})"
        kept[key] = LabelledInput(shown, document)
    return tuple(kept.values())


def _all(bundle: Reviewed, reading: Reading) -> Iterator[tuple[str, dict[str, Any]]]:
    inside_of = _allowed(bundle)
    for manifest in sorted(bundle.catalogue.tools.values(), key=lambda one: one.resource_id):
        name = manifest.resource_id
        base = _read(inside_of.get(name) or _base(manifest, bundle), reading)
        yield f"{name}: inside", base
        for edge_name, document in _at_constraints(base, manifest, bundle.catalogue):
            yield f"{name}: {edge_name}", _read(document, reading)
        for edge_name, document in around(base, sorted(bundle.roles)):
            yield f"{name}: {edge_name}", document
    for case in bundle.cases:
        yield f"suite {case.name}", case.decision
        for edge_name, document in _at_values(case.decision):
            yield f"suite {case.name}: {edge_name}", _read(document, reading)


def _allowed(bundle: Reviewed) -> dict[str, dict[str, Any]]:
    """Return the first input of each tool that a suite says is no deny, under its own manifest."""
    documents = {one.resource_id: one.document for one in bundle.catalogue.tools.values()}
    found: dict[str, dict[str, Any]] = {}
    for case in bundle.cases:
        is_own = case.decision["resource"]["manifest"] == documents.get(case.tool)
        if is_own and case.expected["verdict"] != "deny":
            found.setdefault(case.tool, case.decision)
    return found


def _base(manifest: ToolManifest, bundle: Reviewed) -> dict[str, Any]:
    """Return a call of a tool that its constraints and its schema take, by a role that may."""
    given = {
        "name": manifest.resource_id,
        "tool": manifest.resource_id,
        "role": _role(manifest, bundle.roles),
        "mode": "read_write",
        "arguments": _arguments(manifest, bundle.catalogue.workspaces),
    }
    return decision_input(given, bundle.catalogue)


def _role(manifest: ToolManifest, roles: Mapping[str, Sequence[str]]) -> str:
    """Return the first role that names the tool, its server or everything."""
    wanted = (manifest.resource_id, f"{manifest.server}/*", "*/*")
    able = (name for name, tools in sorted(roles.items()) if not set(wanted).isdisjoint(tools))
    return next(able, NO_ROLE)


def _arguments(manifest: ToolManifest, workspaces: Mapping[str, str]) -> dict[str, Any]:
    schema = manifest.document.get("input_schema", {})
    properties = schema.get("properties", {})
    wanted = {name: _sample(properties.get(name, {})) for name in schema.get("required", ())}
    for constraint in _constraints(manifest):
        wanted[constraint["argument"]] = inside(constraint, workspaces)
    return wanted


def _sample(schema: Any) -> Any:
    kind = schema.get("type", "string") if isinstance(schema, Mapping) else "string"
    return _SAMPLES.get(kind if isinstance(kind, str) else "string", "a")


def _at_constraints(
    base: dict[str, Any], manifest: ToolManifest, catalogue: Catalogue
) -> Iterator[tuple[str, dict[str, Any]]]:
    for constraint in _constraints(manifest):
        argument = constraint["argument"]
        for edge in of_constraint(constraint, catalogue.workspaces):
            yield f"{argument}: {edge.name}", _with(base, argument, edge)
    yield from _at_values(base)


def _at_values(base: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    arguments = base["context"]["arguments"]
    for argument, value in sorted(arguments.items()):
        for edge in of_value(value):
            yield f"{argument}: {edge.name}", _with(base, argument, edge)
    yield "an argument nobody knows", _with(base, "unheard_of", Edge("", "x"))


def _with(base: dict[str, Any], argument: str, edge: Edge) -> dict[str, Any]:
    return changed(base, (*_ARGUMENTS, argument), edge.value)


def _constraints(manifest: ToolManifest) -> list[Mapping[str, Any]]:
    """Return the constraints that can be read; the policy refuses the others by itself."""
    listed = manifest.document.get("constraints", [])
    known = listed if isinstance(listed, list) else []
    return [one for one in known if isinstance(one, dict) and isinstance(one.get("argument"), str)]


def _read(document: dict[str, Any], reading: Reading) -> dict[str, Any]:
    """Return an input with the URLs and flags that the gateway finds in its arguments."""
    arguments = document["context"]["arguments"]
    found = {"urls": list(reading.urls(arguments)), "flags": list(reading.flags(arguments))}
    return {**document, "context": {**document["context"], **found}}
