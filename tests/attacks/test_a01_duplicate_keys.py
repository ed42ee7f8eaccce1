"""A1: the same key twice, so that policy reads one value and the tool another."""

import pytest

from tests.harness.agents_port import DOORS, AgentsPort, code_of
from tests.harness.doors import META, stateless_headers

DUPLICATES = [
    b'{"path":"a","path":"b"}',
    b'{"a":{"b":[{"c":1,"c":1}]}}',
    b'{"a":1,"b":2,"a":3}',
]
CALL = b'{"server":"rec","tool":"read","tool":"write","arguments":{}}'
PARAMS = b'{"name":"rec__read","name":"rec__write","_meta":%b}'


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("arguments", DUPLICATES)
async def test_a_duplicate_key_in_arguments_is_refused(
    agents_port: AgentsPort, door: str, arguments: bytes
) -> None:
    """400 at every door; the pipeline gets the audit record and nothing else."""
    assert await agents_port.refusal(door, arguments) == (400, "duplicate-key")
    assert agents_port.gate.calls == []
    assert [code for code, _ in agents_port.gate.rejected] == ["duplicate-key"]


async def test_a_duplicate_tool_name_is_refused(agents_port: AgentsPort) -> None:
    """The name is what policy is chosen by."""
    status, answer = await agents_port.ask("POST", "/v1/calls", CALL)
    assert (status, code_of(answer), agents_port.gate.calls) == (400, "duplicate-key", [])


async def test_a_duplicate_name_in_mcp_params_is_refused(agents_port: AgentsPort) -> None:
    """The header can only agree with one of them."""
    params = PARAMS % str(META).replace("'", '"').encode()
    body = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":%b}' % params
    headers = stateless_headers("tools/call", "rec__read")
    status, answer = await agents_port.ask("POST", "/mcp", body, headers)
    assert (status, code_of(answer), agents_port.gate.calls) == (400, "duplicate-key", [])
