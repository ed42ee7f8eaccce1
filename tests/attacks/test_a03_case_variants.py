"""A3: members in another case beside the real ones, for readers that ignore case."""

import json
from typing import Any

import pytest

from tests.harness.agents_port import AgentsPort, code_of
from tests.harness.doors import META, stateless_headers

CALL = {"server": "rec", "tool": "read", "arguments": {}}
MESSAGE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "tools/call",
    "params": {"name": "rec__read", "arguments": {}, "_meta": META},
}
HEADERS = stateless_headers("tools/call", "rec__read")


@pytest.mark.parametrize("extra", ["Tool", "SERVER", "Arguments", "Dry_Run", "tool "])
async def test_a_call_has_no_other_members(agents_port: AgentsPort, extra: str) -> None:
    """400, and the pipeline receives nothing."""
    body = json.dumps(CALL | {extra: "write"}).encode()
    status, answer = await agents_port.ask("POST", "/v1/calls", body)
    assert (status, code_of(answer), agents_port.gate.calls) == (400, "unknown-member", [])


@pytest.mark.parametrize(
    "changed",
    [
        {"METHOD": "tools/list"},
        {"Params": {}},
        {"ID": 2},
        {"extra": 1},
        {"params": MESSAGE["params"] | {"Name": "rec__write"}},  # type: ignore[operator] # a dict
        {"params": MESSAGE["params"] | {"ARGUMENTS": {}}},  # type: ignore[operator] # a dict
        {"params": MESSAGE["params"] | {"_META": {}}},  # type: ignore[operator] # a dict
    ],
)
async def test_a_message_has_no_other_members(
    agents_port: AgentsPort, changed: dict[str, Any]
) -> None:
    """400, and the pipeline receives nothing."""
    body = json.dumps(MESSAGE | changed).encode()
    status, answer = await agents_port.ask("POST", "/mcp", body, HEADERS)
    assert (status, code_of(answer), agents_port.gate.calls) == (400, "unknown-member", [])


async def test_extensions_of_meta_and_params_do_no_harm(agents_port: AgentsPort) -> None:
    """What the protocol may add there is not read, and not a part of the canonical call."""
    meta = META | {"progressToken": 1, "com.example/x": {"a": 1}}
    params = {"name": "rec__read", "arguments": {"b": 1, "a": 2}, "_meta": meta, "task": {}}
    body = json.dumps(MESSAGE | {"params": params}).encode()
    status, _ = await agents_port.ask("POST", "/mcp", body, HEADERS)
    assert status == 200
    assert [call.arguments for call in agents_port.gate.calls] == [b'{"a":2,"b":1}']
