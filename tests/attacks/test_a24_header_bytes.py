"""A24: header values that are not text to everybody: obs-text, broken UTF-8, control characters."""

import pytest

from tests.harness.standing import PORTS, Standing

pytestmark = pytest.mark.asyncio(loop_scope="module")

BEYOND_ASCII = [
    b"X-Note: caf\xe9",
    b"X-Note: caf\xc3\xa9",
    b"X-Note: \xff\xfe",
    b"X-Note: \x80",
    b"X-Note: \xed\xa0\x80",
    b"Idempotency-Key: k\xe9y",
    b"Mcp-Name: wr\xc3\xadte",
    b"User-Agent: \xc2\xa0",
]
CONTROLS = [b"X-Note: a%bb" % bytes([code]) for code in (*range(9), 11, 12, 14, 27, 31, 127)]


@pytest.mark.parametrize("port", PORTS)
@pytest.mark.parametrize("field", BEYOND_ASCII)
async def test_a_value_beyond_ascii_is_refused(standing: Standing, port: str, field: bytes) -> None:
    """400: nobody decides on a part of it; the tool receives 0 bytes."""
    heard = await standing.attack(port, field)
    assert (heard.status, heard.code, heard.closed) == (400, "header-not-ascii", True)
    assert await standing.nothing_happened()


@pytest.mark.parametrize("port", PORTS)
@pytest.mark.parametrize("field", CONTROLS, ids=repr)
async def test_a_control_character_is_refused(standing: Standing, port: str, field: bytes) -> None:
    """Whatever a reader would make of it."""
    heard = await standing.attack(port, field)
    assert (heard.status, heard.closed) == (400, True)
    assert await standing.nothing_happened()


@pytest.mark.parametrize("token", [b"caf\xe9", b"dta_\xff", b"dta_" + b"\xc3\xa9" * 20])
async def test_a_token_beyond_ascii_is_nobodys(standing: Standing, token: bytes) -> None:
    """It does not even get as far as 401."""
    field = b"Authorization: Bearer " + token
    heard = await standing.attack("agents", field, without=[b"authorization"])
    assert (heard.status, heard.code) == (400, "header-not-ascii")
    assert token not in heard.raw
    assert await standing.nothing_happened()


async def test_no_such_value_reaches_the_log(standing: Standing) -> None:
    """Refusals are logged by their code alone."""
    await standing.attack("agents", b"X-Note: hidden-\xe9-value")
    assert "hidden-" not in standing.gateway.text
