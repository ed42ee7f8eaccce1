"""A9 on the real process: the limit of each port, by length and in chunks, and what is behind."""

import json

import pytest

from tests.harness.standing import PORTS, Standing

pytestmark = pytest.mark.asyncio(loop_scope="module")

LIMITS = {"agents": 1_048_576, "operators": 65_536}
CHUNKED = b"Transfer-Encoding: chunked"


def padded(port: str, size: int) -> bytes:
    """Return a body that has an effect on that port and is exactly as large."""
    body: dict[str, object] = {"reason": ""}
    if port == "agents":
        body = {"server": "rec", "tool": "write", "arguments": {"text": ""}}
    empty = json.dumps(body)
    return empty.replace(': ""', ': "' + "x" * (size - len(empty)) + '"').encode()


def chunked(body: bytes, size: int = 9_999) -> bytes:
    chunks = (body[at : at + size] for at in range(0, len(body), size))
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"


@pytest.mark.parametrize("port", PORTS)
@pytest.mark.parametrize("over", [1, 1_000, 900_000])
async def test_one_byte_more_is_refused(standing: Standing, port: str, over: int) -> None:
    """413 by what it says and by what it is; never cut off and then taken."""
    body = padded(port, LIMITS[port] + over)
    by_length = await standing.attack(port, body=body)
    in_chunks = await standing.attack(
        port, CHUNKED, body=chunked(body), without=[b"content-length"]
    )
    for heard in (by_length, in_chunks):
        assert (heard.status, heard.code, heard.closed) == (413, "body-too-large", True)
    assert await standing.nothing_happened()


async def test_the_last_byte_that_is_allowed_arrives(standing: Standing) -> None:
    """Whole, at the tool."""
    body = padded("agents", LIMITS["agents"])
    for fields, sent, without in (
        ((), body, []),
        ((CHUNKED,), chunked(body), [b"content-length"]),
    ):
        heard = await standing.attack(
            "agents", *fields, b"Connection: close", body=sent, without=without
        )
        assert heard.status == 200
    text = json.loads(body)["arguments"]["text"]
    assert standing.recorder.bodies() == [{"text": text}] * 2


@pytest.mark.parametrize("port", PORTS)
async def test_what_comes_behind_a_refused_body_is_not_a_request(
    standing: Standing, port: str
) -> None:
    """In the same packet or later: there is one answer and an end."""
    hidden = standing.request(port)
    body = hidden + b" " * (LIMITS[port] + 1 - len(hidden))
    given = standing.request(port, b"Connection: keep-alive", body=body)
    for parts in ((given + hidden,), (given, hidden, hidden)):
        heard = await standing.say(port, *parts)
        assert (heard.statuses, heard.closed) == ([413], True)
    assert await standing.nothing_happened()


@pytest.mark.parametrize("port", PORTS)
async def test_half_a_body_is_none(standing: Standing, port: str) -> None:
    """A client that hangs up early has asked for nothing, even if what it sent is JSON."""
    given = standing.request(port)
    longer = given.replace(b"Content-Length: ", b"Content-Length: 1")
    heard = await standing.say(port, longer, wait_s=0.3)
    assert heard.raw == b""
    assert await standing.nothing_happened()
