"""A4: numbers that are no JSON numbers, or that no double can hold."""

import pytest

from tests.harness.agents_port import DOORS, AgentsPort

NOT_JSON = [b"NaN", b"Infinity", b"-Infinity", b"+1", b"0x10", b"01", b".5", b"1."]
TOO_LARGE = [b"1e400", b"-1e400", b"1e-400", b"9" * 400 + b".0"]


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("number", NOT_JSON)
async def test_what_is_no_number_is_refused(
    agents_port: AgentsPort, door: str, number: bytes
) -> None:
    """400 at every door, and the pipeline receives nothing."""
    assert await agents_port.refusal(door, b'{"n":%b}' % number) == (400, "not-json")
    assert agents_port.gate.calls == []


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("number", TOO_LARGE)
async def test_what_would_become_infinite_or_zero_is_refused(
    agents_port: AgentsPort, door: str, number: bytes
) -> None:
    """Not rounded to something the agent did not say."""
    assert await agents_port.refusal(door, b'{"n":%b}' % number) == (400, "number-out-of-range")
    assert agents_port.gate.calls == []
