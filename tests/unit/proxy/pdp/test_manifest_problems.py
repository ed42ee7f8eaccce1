"""How the parts of a manifest entry must fit each other."""

from pathlib import Path
from typing import Any

import pytest

from proxy.pdp.manifest_problems import problems_of_routes, problems_of_tool, unknown_arguments

MCP: dict[str, Any] = {"pin": "sha256:0", "effect": "read", "risk": 1}
HTTP: dict[str, Any] = {
    "effect": "write",
    "risk": 1,
    "sinks": ["row"],
    "destinations": ["table"],
    "constraints": [{"argument": "table", "max_length": 9}],
    "http": {"method": "POST", "path": "/{table}.json", "query": ["page"], "body": ["row"]},
    "description": "Inserts a row.",
    "input_schema": {
        "type": "object",
        "additionalProperties": False,
        "required": ["table"],
        "properties": {"table": {"type": "string"}, "page": {}, "row": {"type": "object"}},
    },
}


def problems(entry: dict[str, Any], name: str = "tool") -> list[str]:
    """Return what is wrong, with a workspace called scratch."""
    return list(problems_of_tool(name, entry, {"scratch": "/ws"}))


def schema(**fields: Any) -> dict[str, Any]:
    """Return the HTTP tool with other parts of its schema."""
    return {**HTTP, "input_schema": {**HTTP["input_schema"], **fields}}


def http(**fields: Any) -> dict[str, Any]:
    """Return the HTTP tool with other parts of its request."""
    return {**HTTP, "http": {**HTTP["http"], **fields}}


def constrained(**fields: Any) -> dict[str, Any]:
    """Return the MCP tool with a constraint on `x`."""
    return {**MCP, "constraints": [{"argument": "x", **fields}]}


def test_a_method_needs_nothing_but_its_effect_and_risk() -> None:
    """The protocol defines it: there is nothing to pin."""
    assert problems({"effect": "read", "risk": 0}, "resources/read") == []


@pytest.mark.parametrize("key", ["pin", "http", "description", "input_schema"])
def test_what_defines_a_tool_is_refused_for_a_method(key: str) -> None:
    """An entry that seems to define a method would mislead its reader."""
    entry = {"effect": "read", "risk": 0, key: HTTP.get(key, "sha256:0")}
    assert [line.partition(" ")[0] for line in problems(entry, "resources/read")] == [key]


def test_a_dollar_is_for_methods_only() -> None:
    """No server can have a tool of that name."""
    assert problems(MCP, "a$b")[0].startswith("a tool's name has no $")


@pytest.mark.parametrize("entry", [MCP, HTTP])
def test_a_tool_in_order_has_no_problems(entry: dict[str, Any]) -> None:
    """An MCP tool with a pin, an HTTP tool with its whole request."""
    assert problems(entry) == []


def test_a_schema_is_not_fetched_from_elsewhere(tmp_path: Path) -> None:
    """It could change after the review, and any address could be named."""
    (tmp_path / "schema.json").write_text("{}")
    elsewhere = schema(**{"$ref": (tmp_path / "schema.json").as_uri()})
    assert problems(elsewhere)[0].startswith("input_schema is no JSON Schema: ")


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ({"effect": "read", "risk": 1}, "no pin: "),
        ({**MCP, "description": "x"}, "description is for HTTP tools: "),
        ({**MCP, "input_schema": {}}, "input_schema is for HTTP tools: "),
        ({**HTTP, "pin": "sha256:0"}, "a pin beside `http`: "),
        ({key: HTTP[key] for key in HTTP if key != "description"}, "no description: "),
        ({key: HTTP[key] for key in HTTP if key != "input_schema"}, "no input_schema of type"),
        (schema(type="array"), "no input_schema of type object: "),
        (schema(type="objekt"), "no input_schema of type object: "),
        (schema(required="table"), "input_schema is no JSON Schema: "),
        (schema(**{"$ref": "nowhere:x"}), "input_schema is no JSON Schema: "),
        (schema(additionalProperties=True), "input_schema takes any argument: "),
        (schema(required=[]), "table stands in the path: list it in `required`"),
        (http(query=[]), "page has no place in the request: "),
        (http(query=["page", "more"]), "more has a place in the request, but is not in"),
        (http(path="/{table}/{id}"), "id has a place in the request, but is not in"),
        (http(query=["page", "row"]), "row has two places in the request: "),
        (http(path="/{table}/{table}"), "table has two places in the request: "),
        (http(path="/{table}/{x"), "a brace in the path has no partner: "),
        (http(path="/{table}/x}"), "a brace in the path has no partner: "),
        (http(method="GET"), "GET has no body: "),
        (http(method="DELETE", body=[], query=["page", "row"]) | {"effect": "read"}, "effect read"),
        (http(method="PUT") | {"effect": "read"}, "effect read beside the method PUT: say write"),
        (http(headers=["page"]), "page has two places in the request: "),
        (http(names={"table": "t"}), "names has table, which is in none of query, body and"),
        (http(query=[], headers=["page"], names={"page": "Host"}), "no argument can be the header"),
        (http(query=[], headers=["page"], names={"page": "p_q"}), "no argument can be the header"),
        ({**HTTP, "sinks": ["rwo"]}, "sinks names rwo, which is not in input_schema: "),
        ({**HTTP, "guards": {"shell": {"command": "cmd"}}}, "guards names cmd, which is not in "),
        ({**HTTP, "guards": {"git": {"paths": ["pth"]}}}, "guards names pth, which is not in "),
        ({**HTTP, "destinations": ["tabel"]}, "destinations names tabel, which is not in"),
        (
            {**HTTP, "constraints": [{"argument": "x", "max": 1}]},
            "constraints names x, which is not in",
        ),
        (constrained(optional=True), "constraint on x: constrains nothing: "),
        (constrained(path_within=["$scrach"]), "constraint on x: $scrach is not in workspaces"),
        (constrained(path_within=["/a", "$b"]), "constraint on x: $b is not in workspaces"),
        (constrained(cidr_in=["10.0.0.1/8"]), "constraint on x: 10.0.0.1/8 is no network: "),
        (constrained(cidr_in=["10.0.0.0/8", "::/200"]), "constraint on x: ::/200 is no network"),
    ],
)
def test_a_part_that_does_not_fit_is_told(entry: dict[str, Any], problem: str) -> None:
    """One problem, with its cure."""
    told = problems(entry)
    assert len(told) == 1
    assert told[0].startswith(problem)


@pytest.mark.parametrize(
    "entry",
    [
        constrained(path_within=["$scratch"]),
        constrained(path_within=["/a", "$scratch"]),
        constrained(cidr_in=["10.0.0.0/8", "2001:db8::/32"]),
        constrained(max=0),
        {**HTTP, "http": {**HTTP["http"], "method": "DELETE"}},
        http(query=[], headers=["page"], names={"page": "X-Page"}),
        http(names={"row": "page"}),
    ],
)
def test_what_fits_is_not_told(entry: dict[str, Any]) -> None:
    """No false alarms."""
    assert problems(entry) == []


@pytest.mark.parametrize(
    ("place", "names"),
    [("query", {"page": "b"}), ("body", {"page": "b"}), ("headers", {"b": "Page"})],
)
def test_two_arguments_cannot_have_one_name(place: str, names: dict[str, str]) -> None:
    """In one place of a request; header names have no case."""
    two = schema(properties={"table": {}, "page": {}, "b": {}})
    entry = {key: two[key] for key in two.keys() - {"sinks"}}
    entry["http"] = {"method": "POST", "path": "/{table}", place: ["page", "b"], "names": names}
    assert [line.partition(":")[0] for line in problems(entry)] == [
        f"two arguments are called {'page' if place == 'headers' else 'b'} in {place}"
    ]


def routed(path: str, *, name: str = "integer", **more: Any) -> dict[str, Any]:
    """Return what of an entry its route depends on."""
    properties = {"n": {"type": name}}
    return {
        "http": {"method": "GET", "path": path, **more},
        "input_schema": {"properties": properties},
    }


def test_a_request_that_can_mean_two_tools_is_told() -> None:
    """With both, and the cure; methods and MCP tools have no routes."""
    tools = {"a": routed("/{x}/y"), "b": routed("/z/{x}"), "c": {"pin": "p"}, "d": routed("/q")}
    ((tool, problem),) = problems_of_routes(tools)
    assert (tool, problem.partition(":")[0]) == ("b", "a request can mean this tool or a")
    assert "route: false" in problem


def test_routes_that_are_told_apart_are_no_problem() -> None:
    """By a more literal path, by whole numbers, or because one has no route."""
    tools = {
        "a": routed("/{x}/y"),
        "b": routed("/{n}/y"),
        "c": routed("/z/{x}", route=False),
        "d": routed("/z/y"),
    }
    assert list(problems_of_routes(tools)) == []


def test_every_problem_is_told() -> None:
    """Not only the first."""
    assert len(problems(http(method="GET", query=[], path="/{id}"))) == 4


HOOKS: dict[str, Any] = {"hooks": True, "effect": "write", "risk": 1}


@pytest.mark.parametrize(
    "more", [{}, {"input_schema": {"type": "object"}}, {"credential": {"broker": "none"}}]
)
def test_a_tool_of_an_agents_own_needs_no_pin(more: dict[str, Any]) -> None:
    """Nobody but the agent defines it."""
    assert problems(HOOKS | more) == []


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ({"pin": "sha256:0"}, "pin beside `hooks`"),
        ({"http": {"method": "GET", "path": "/"}}, "http beside `hooks`"),
        ({"undo": "compensation.x"}, "undo beside `hooks`"),
        ({"credential": {"broker": "jwt"}}, "a credential beside `hooks`"),
        ({"recovery": "probe"}, "recovery beside `hooks`"),
        ({"input_schema": {"type": "objekt"}}, "input_schema is no JSON Schema"),
    ],
)
def test_what_only_detent_could_do_is_refused_beside_hooks(
    more: dict[str, Any], problem: str
) -> None:
    """It decides such a call and does not carry it."""
    (told,) = problems(HOOKS | more)
    assert told.startswith(problem)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"properties": {"x": {}}}, []),
        ({"properties": {"y": {}}}, [("constraints", "x"), ("guards", "x")]),
        ({"properties": {}}, [("constraints", "x"), ("guards", "x")]),
        ({}, []),
        ({"properties": []}, []),
        ({"properties": {"y": {}}, "patternProperties": {"^x": {}}}, []),
        ({"allOf": [{}]}, []),
        ({"$ref": "#/$defs/a"}, []),
    ],
)
def test_an_argument_the_tool_does_not_take_is_told(
    given: dict[str, Any], told: list[tuple[str, str]]
) -> None:
    """Where the schema says which there are."""
    entry = constrained(max=1, optional=True) | {"guards": {"git": {"revisions": ["x"]}}}
    assert list(unknown_arguments(entry, given)) == told
