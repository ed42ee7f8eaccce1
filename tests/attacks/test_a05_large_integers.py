"""A5: integers that readers round differently, so that a limit holds in one of them only."""

import pytest

from tests.harness.agents_port import DOORS, AgentsPort

ROUNDED = [
    str(2**53 + 1).encode(),
    str(-(2**53) - 1).encode(),
    str(2**64).encode(),
    b"1" * 30,
    b"9" * 5_000,
    b"9007199254740993.0",
    b"9007199254740993e0",
    b"123456789012345678901234567890e-10",
]


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("number", ROUNDED, ids=lambda number: number[:24].decode())
async def test_integers_beyond_two_to_the_53_are_refused(
    agents_port: AgentsPort, door: str, number: bytes
) -> None:
    """400 at every door, and the pipeline receives nothing."""
    assert await agents_port.refusal(door, b'{"n":%b}' % number) == (400, "number-out-of-range")
    assert agents_port.gate.calls == []


@pytest.mark.parametrize("door", DOORS)
async def test_a_tool_can_still_take_them_as_text(agents_port: AgentsPort, door: str) -> None:
    """Digits in a string are passed on digit by digit."""
    arguments = b'{"n":"%b"}' % (b"1" * 30)
    assert (await agents_port.call(door, arguments))[0] == 200
    assert [call.arguments for call in agents_port.gate.calls] == [arguments]
