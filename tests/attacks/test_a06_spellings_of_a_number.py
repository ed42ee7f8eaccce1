"""A6: one number in several spellings, so that policy, hash and wire could differ."""

import hashlib

import pytest

from tests.harness.agents_port import DOORS, AgentsPort

SPELLINGS = [
    (b"1", [b"1", b"1.0", b"1e0", b"10e-1", b"1.000", b"0.1E1"]),
    (b"100", [b"100", b"1e2", b"1E+2", b"100.0"]),
    (b"0", [b"0", b"-0", b"-0.0", b"0e5", b"0.00"]),
    (b"0.000001", [b"1e-6", b"0.000001", b"10E-7"]),
]


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(("canonical", "spelled"), SPELLINGS, ids=["1", "100", "0", "1e-6"])
async def test_every_spelling_is_one_call(
    agents_port: AgentsPort, door: str, canonical: bytes, spelled: list[bytes]
) -> None:
    """The pipeline receives the same canonical bytes, and so the same hash, for all of them."""
    for number in spelled:
        assert (await agents_port.call(door, b'{"limit":%b}' % number))[0] == 200
    arguments = b'{"limit":%b}' % canonical
    assert {call.arguments for call in agents_port.gate.calls} == {arguments}
    hashes = {call.arguments_sha256 for call in agents_port.gate.calls}
    assert hashes == {hashlib.sha256(arguments).hexdigest()}
