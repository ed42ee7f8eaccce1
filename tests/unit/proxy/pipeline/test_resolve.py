import json
from dataclasses import replace
from typing import Any

import pytest

from proxy.model.tool import CredentialRule, Effect, HttpBinding, ToolDefinition, ToolManifest
from proxy.pipeline.resolve import Resolver


async def reason_of(house: Any, tool: str, **more: Any) -> str:
    answer = await house.call(tool, **more)
    return str(answer.reasons[0].id)


async def test_a_tool_without_manifest_or_definition_does_not_exist(house: Any) -> None:
    """One is unknown to the reviewers, the other to the server."""
    assert await reason_of(house, "mystery") == "unknown-tool"
    assert await reason_of(house, "absent") == "unknown-tool"
    assert house.engine.inputs == []


async def test_a_definition_that_left_its_pin_is_quarantined(house: Any) -> None:
    """Any change of the wire object, then no call and no listing."""
    old = house.tool.tools[1]
    house.tool.tools[1] = ToolDefinition(old.name, b"other", "sha256:other", old.input_schema)
    await house.registry.refresh()
    assert await reason_of(house, "write_file") == "tool-quarantined"
    assert house.stages.resolve.drifted() == ["repo/write_file"]
    (wrong,) = house.stages.resolve.irregularities()
    assert wrong.tool == "repo/write_file"
    assert "write_file" not in {manifest.tool for manifest, _ in house.stages.resolve.healthy()}


async def test_a_schema_that_cannot_be_compiled_quarantines_the_tool(house: Any) -> None:
    """Arguments that cannot be checked are not sent."""
    old = house.tool.tools[1]
    house.tool.tools[1] = ToolDefinition(old.name, old.raw, old.pin, b'{"type": 7}')
    await house.registry.refresh()
    assert await reason_of(house, "write_file") == "tool-quarantined"


async def test_a_tool_that_wants_a_credential_nobody_lends_is_refused(house: Any) -> None:
    """Whatever its arguments, so it is not listed either."""
    manifests = house.stages.resolve.manifests
    key = ("repo", "read_file")
    keyed = replace(manifests[key], credential=CredentialRule("nobody"))
    house.stages.resolve.replace({key: keyed})
    assert await reason_of(house, "read_file") == "credential-refused"
    assert house.stages.resolve.healthy() == []


@pytest.mark.parametrize(
    "arguments",
    [{}, {"path": ["a"]}, {"path": "a", "n": "1"}, {"path": "a", "extra": 1}, {"Path": "a"}],
)
async def test_arguments_outside_the_schema_are_refused_before_policy(
    house: Any, arguments: dict[str, Any]
) -> None:
    """Missing, wrong type, unknown or misspelt: 400, and the policy is not asked."""
    answer = await house.call("write_file", arguments=arguments)
    assert answer.reasons[0].id == "arguments-invalid"
    assert answer.http == 400
    assert house.engine.inputs == []


async def test_the_refusal_names_the_place_and_no_value(house: Any) -> None:
    """Input is never echoed."""
    answer = await house.call("write_file", arguments={"path": "a", "n": "s3cret-value"})
    assert "at n: type" in answer.reasons[0].message
    assert "s3cret-value" not in answer.reasons[0].message


async def test_a_schema_may_say_that_it_takes_more(house: Any) -> None:
    """additionalProperties: true is an open door that reviewers have seen."""
    old = house.tool.tools[1]
    schema = json.dumps({"type": "object", "additionalProperties": True}).encode()
    house.tool.tools[1] = ToolDefinition(old.name, old.raw, old.pin, schema)
    await house.registry.refresh()
    assert await reason_of(house, "write_file", arguments={"x": 1}) == "role-allows-tool"


@pytest.mark.parametrize("draft", ["draft-04", "draft-06", "draft-07"])
async def test_unknown_arguments_are_refused_in_older_drafts_too(house: Any, draft: str) -> None:
    """Those have no `unevaluatedProperties`, and most servers write draft-07."""
    old = house.tool.tools[1]
    known = {"$schema": f"http://json-schema.org/{draft}/schema#", "properties": {"path": {}}}
    house.tool.tools[1] = replace(old, input_schema=json.dumps(known).encode())
    await house.registry.refresh()
    answer = await house.call("write_file", arguments={"path": "a", "extra": 1})
    assert answer.reasons[0].id == "arguments-invalid"
    assert "the arguments: additionalProperties" in answer.reasons[0].message
    assert await reason_of(house, "write_file", arguments={"path": "a"}) == "role-allows-tool"


async def test_an_http_tool_is_defined_by_its_manifest(house: Any) -> None:
    """Reviewed in Git as a whole, it needs no pin."""
    manifest = ToolManifest("repo", "read_file", Effect.READ, http=HttpBinding("GET", "/"))
    house.stages.resolve.replace({("repo", "read_file"): manifest})
    assert [kept.tool for kept, _ in house.stages.resolve.healthy()] == ["read_file"]
    assert house.stages.resolve.drifted() == []


async def test_an_mcp_tool_without_a_pin_is_quarantined(house: Any) -> None:
    """Nobody reviewed what it does."""
    unpinned = ToolManifest("repo", "read_file", Effect.READ)
    resolver = Resolver({("repo", "read_file"): unpinned}, house.registry, ())
    assert resolver.healthy() == []


def test_tools_that_agents_run_themselves_are_offered_to_nobody(house: Any) -> None:
    """They can be asked about, and neither listed nor called."""
    resolve = house.stages.resolve
    assert ("claude-code", "Bash") in resolve.manifests
    assert resolve.offered("claude-code") == frozenset()
    assert resolve.input_schema("claude-code", "Bash") is None
    assert "claude-code" not in {manifest.server for manifest, _ in resolve.healthy()}


async def test_the_schema_of_a_tool_is_told_while_it_can_be_called(house: Any) -> None:
    """As pinned; a definition that left its pin has none."""
    assert json.loads(house.pipeline.input_schema("repo", "write_file"))["required"] == ["path"]
    assert house.pipeline.input_schema("repo", "mystery") is None
    old = house.tool.tools[1]
    house.tool.tools[1] = ToolDefinition(old.name, b"other", "sha256:other", old.input_schema)
    await house.registry.refresh()
    assert house.pipeline.input_schema("repo", "write_file") is None
