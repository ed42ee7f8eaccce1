"""What a schema cannot say about one manifest entry: how its parts fit each other."""

import ipaddress
import re
from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Any

import jsonschema_rs

from proxy.model.http_headers import takes_argument
from proxy.model.route import Route, whole_numbers

_CHANGING = frozenset({"DELETE", "PATCH", "PUT"})
_COMBINED = frozenset(
    {"$ref", "allOf", "anyOf", "dependentSchemas", "if", "oneOf", "patternProperties"}
)
_NAMED_PLACES = ("query", "body", "headers")
_PLACES = re.compile(r"\{([^{}]*)\}")
_KINDS = ("path_within", "host_in", "cidr_in", "max", "min", "max_length", "one_of")
_ROUTE_CURE = "change one path, or say `route: false` in one `http` to call it by name only"


def problems_of_tool(
    name: str, entry: dict[str, Any], workspaces: Mapping[str, Any]
) -> Iterator[str]:
    """Yield what is wrong, each with its cure; the entry already fits the schema."""
    if "/" in name:
        yield from _problems_of_method(entry)
    elif "$" in name:
        yield "a tool's name has no $: it is of A-Z a-z 0-9 _ . -"
    elif "hooks" in entry:
        yield from _problems_of_hooks(entry)
    elif "http" in entry:
        yield from _problems_of_http(entry)
    else:
        yield from _problems_of_mcp(entry)
    for constraint in entry.get("constraints", ()):
        for problem in _problems_of_constraint(constraint, workspaces):
            yield f"constraint on {constraint['argument']}: {problem}"


def _problems_of_method(entry: dict[str, Any]) -> Iterator[str]:
    for key in ("pin", "http", "description", "input_schema"):
        if key in entry:
            yield f"{key} is for tools: remove it, an MCP method is defined by the protocol"


def _problems_of_hooks(entry: dict[str, Any]) -> Iterator[str]:
    for key in ("pin", "http", "undo"):
        if key in entry:
            yield f"{key} beside `hooks`: remove it, the agent runs this tool itself"
    if entry.get("credential", {}).get("broker", "none") != "none":
        yield "a credential beside `hooks`: remove it, nothing is lent to a tool of the agent's own"
    if entry.get("recovery", "opaque") != "opaque":
        yield "recovery beside `hooks`: remove it, nobody but the agent sees what happened"
    if not _is_schema(entry.get("input_schema", {})):
        yield "input_schema is no JSON Schema: correct it"


def _problems_of_mcp(entry: dict[str, Any]) -> Iterator[str]:
    if "pin" not in entry:
        yield "no pin: take it from `detent tools import`, or describe the request in `http`"
    for key in ("description", "input_schema"):
        if key in entry:
            yield f"{key} is for HTTP tools: remove it, the server's own definition is pinned"


def _problems_of_http(entry: dict[str, Any]) -> Iterator[str]:
    if "pin" in entry:
        yield "a pin beside `http`: remove it, this entry is the definition"
    if "description" not in entry:
        yield "no description: say what the tool does"
    schema = entry.get("input_schema")
    if schema is None or schema.get("type") != "object":
        yield "no input_schema of type object: say which arguments there are"
        return
    if not _is_schema(schema):
        yield "input_schema is no JSON Schema: correct it"
        return
    yield from _problems_of_places(entry["http"], schema)
    yield from _problems_of_names(entry["http"])
    yield from _problems_of_effect(entry)
    for key, name in unknown_arguments(entry, schema):
        yield f"{key} names {name}, which is not in input_schema: correct one of them"


def unknown_arguments(
    entry: Mapping[str, Any], schema: Mapping[str, Any]
) -> Iterator[tuple[str, str]]:
    """Yield each argument an entry speaks of that its tool's schema does not have, and where.

    A misspelt one disarms what is said about it: an optional constraint, a guard of revisions. Of a
    schema that names none, or is put together from others, nothing is told.
    """
    known = schema.get("properties")
    if not isinstance(known, dict) or not _COMBINED.isdisjoint(schema):
        return
    for key, names in _named_arguments(entry).items():
        yield from ((key, name) for name in sorted(names - known.keys()))


def _problems_of_places(http: dict[str, Any], schema: dict[str, Any]) -> Iterator[str]:
    in_path = _PLACES.findall(http["path"])
    places = [*in_path, *_named_places(http)]
    known = set(schema.get("properties", {}))
    for name in sorted({name for name in places if places.count(name) > 1}):
        yield f"{name} has two places in the request: keep one"
    for name in sorted(set(places) - known):
        yield f"{name} has a place in the request, but is not in input_schema: add or remove it"
    for name in sorted(known - set(places)):
        yield f"{name} has no place in the request: put it into path, query, body or headers"
    for name in sorted(set(in_path) & known - set(schema.get("required", ()))):
        yield f"{name} stands in the path: list it in `required`"
    if schema.get("additionalProperties") is not False:
        yield "input_schema takes any argument: set additionalProperties to false"
    if set("{}") & set(_PLACES.sub("", http["path"])):
        yield "a brace in the path has no partner: correct it"
    if http["method"] == "GET" and http.get("body"):
        yield "GET has no body: use query, or another method"


def _problems_of_effect(entry: dict[str, Any]) -> Iterator[str]:
    """Yield a read by a method that changes things (RFC 9110); a search may be a POST."""
    method = entry["http"]["method"]
    if entry["effect"] == "read" and method in _CHANGING:
        yield f"effect read beside the method {method}: say write, or irreversible"


def _problems_of_names(http: dict[str, Any]) -> Iterator[str]:
    """Yield what is wrong with the names that arguments have on the wire."""
    names: dict[str, str] = http.get("names", {})
    for argument in sorted(names.keys() - set(_named_places(http))):
        yield f"names has {argument}, which is in none of query, body and headers: remove it"
    for place in _NAMED_PLACES:
        wire = [names.get(argument, argument) for argument in http.get(place, ())]
        seen = [name.lower() for name in wire] if place == "headers" else wire
        for name in sorted({name for name in seen if seen.count(name) > 1}):
            yield f"two arguments are called {name} in {place}: keep one"
        if place == "headers":
            for name in sorted(name for name in wire if not takes_argument(name)):
                yield f"no argument can be the header {name}: give it another name, or remove it"


def _named_places(http: dict[str, Any]) -> list[str]:
    """Return the arguments that have a place outside of the path."""
    return [argument for place in _NAMED_PLACES for argument in http.get(place, ())]


def problems_of_routes(tools: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield a tool and what is wrong with its route beside another one's, with the cure."""
    routes: dict[tuple[str, int], list[tuple[str, Route]]] = {}
    for name, entry in tools.items():
        http = entry.get("http")
        if http is not None and http.get("route", True):
            whole = whole_numbers(entry["input_schema"])
            route = Route.of(http["method"], http["path"], whole)
            routes.setdefault((route.method, len(route.segments)), []).append((name, route))
    for alike in routes.values():
        for (first, route), (second, other) in combinations(alike, 2):
            if route.is_confused_with(other):
                yield second, f"a request can mean this tool or {first}: {_ROUTE_CURE}"


def problems_of_probes(tools: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield a tool and what is wrong with how it is probed, with the cure."""
    for name, entry in tools.items():
        if "probe" not in entry:
            continue
        asked = tools.get(entry["probe"]["tool"])
        if entry.get("recovery", "opaque") != "probe":
            yield name, "a probe beside another recovery: say `recovery: probe`, or remove it"
        if asked is None:
            yield name, "probe names a tool that is not in this manifest: add it, or correct it"
        elif asked["effect"] != "read" or asked.get("hooks", False):
            yield name, "probe names a tool that is no read: looking must change nothing"


def _named_arguments(entry: Mapping[str, Any]) -> dict[str, set[str]]:
    return {
        "sinks": set(entry.get("sinks", ())),
        "destinations": set(entry.get("destinations", ())),
        "constraints": {constraint["argument"] for constraint in entry.get("constraints", ())},
        "guards": set(_texts(entry.get("guards", {}))),
    }


def _texts(value: Any) -> Iterator[str]:
    """Yield every text in a block: what guards name are arguments."""
    if isinstance(value, str):
        yield value
    else:
        for member in value.values() if isinstance(value, dict) else value:
            yield from _texts(member)


def _problems_of_constraint(
    constraint: dict[str, Any], workspaces: Mapping[str, Any]
) -> Iterator[str]:
    if not any(kind in constraint for kind in _KINDS):
        yield f"constrains nothing: add one of {', '.join(_KINDS)}"
    for root in constraint.get("path_within", ()):
        if root.startswith("$") and root[1:] not in workspaces:
            yield f"{root} is not in workspaces/data.yaml: add it, or write the path"
    for network in constraint.get("cidr_in", ()):
        if not _is_network(network):
            yield f"{network} is no network: write it as 10.0.0.0/8"


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return True


def _is_schema(schema: dict[str, Any]) -> bool:
    try:
        jsonschema_rs.validator_for(schema, offline=True)
    except (ValueError, jsonschema_rs.ReferencingError):
        return False
    return True
