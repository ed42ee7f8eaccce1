"""MCP methods that are no tools."""

import json

import pytest

from proxy.model.tool import Effect, ToolManifest
from proxy.pipeline.methods import definition_of, is_method


def manifest(name: str) -> ToolManifest:
    """Return an entry of that name."""
    return ToolManifest("repo", name, Effect.READ)


@pytest.mark.parametrize(("name", "method"), [("resources/read", True), ("git_log", False)])
def test_a_slash_tells_a_method_from_a_tool(name: str, method: bool) -> None:
    """Names of tools cannot have one."""
    assert is_method(name) is method
    assert (definition_of(manifest(name)) is not None) is method


@pytest.mark.parametrize(
    ("method", "required"),
    [
        ("resources/read", ["uri"]),
        ("prompts/get", ["name"]),
        ("completion/complete", ["ref", "argument"]),
        ("vendor/anything", []),
    ],
)
def test_params_have_the_form_the_protocol_gives_them(method: str, required: list[str]) -> None:
    """What the protocol may add is let through; a vendor's method takes any object."""
    definition = definition_of(manifest(method))
    assert definition is not None
    schema = json.loads(definition.input_schema)
    assert (schema["required"], schema["additionalProperties"]) == (required, True)


@pytest.mark.parametrize(
    ("document", "schema"),
    [
        ({}, {"type": "object", "properties": {}, "required": [], "additionalProperties": True}),
        ({"input_schema": {"type": "object"}}, {"type": "object"}),
    ],
)
def test_a_tool_that_an_agent_runs_itself_has_the_form_its_manifest_gives_it(
    document: dict[str, object], schema: dict[str, object]
) -> None:
    """Any object without one: nobody but the agent knows better. It has no pin."""
    definition = definition_of(
        ToolManifest("claude-code", "Bash", Effect.WRITE, document=document, hooks=True)
    )
    assert definition is not None
    assert (json.loads(definition.input_schema), definition.pin) == (schema, "")
