"""A2: a duplicate key hidden by an escape, as in `name` with its `a` written as U+0061."""

import pytest

from tests.harness.agents_port import DOORS, AgentsPort

HIDDEN = [
    b'{"name":"a","n\\u0061me":"b"}',
    b'{"\\u006e\\u0061\\u006d\\u0065":"a","name":"b"}',
    b'{"a/b":1,"a\\/b":2}',
    b'{"\\ud83d\\ude00":1,"\xf0\x9f\x98\x80":2}',
]


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("arguments", HIDDEN)
async def test_keys_are_compared_after_unescaping(
    agents_port: AgentsPort, door: str, arguments: bytes
) -> None:
    """400 at every door, and the pipeline receives nothing."""
    assert await agents_port.refusal(door, arguments) == (400, "duplicate-key")
    assert agents_port.gate.calls == []
