"""A20: a request whose end is a matter of opinion, to hide another one behind it."""

import pytest

from tests.harness.raw import CALL
from tests.harness.standing import PORTS, Standing

pytestmark = pytest.mark.asyncio(loop_scope="module")

CHUNKED = b"Transfer-Encoding: chunked"
CHUNKS = b"%x\r\n%b\r\n0\r\n\r\n" % (len(CALL), CALL)

LENGTHS = [
    b"+%d", b"-%d", b"0x%d", b"%d, %d", b"%d %d", b"%d,", b"1_%d", b"", b"%d\x0b", b"\xb2%d",
    b"99999999999999999999999", b"%d.0", b"%de0", b"\t%d;",
]  # fmt: skip
CODINGS = [
    b"xchunked", b"chunkedx", b"identity", b"identity, chunked", b"chunked, identity",
    b"gzip, chunked", b"chunked, chunked", b"chunked,", b",chunked", b"chunked;q=1", b"chunked ",
    b'"chunked"', b"\x0bchunked", b"chunked\x00", b"cow", b"", b"chun\x6bed\xa0",
]  # fmt: skip
LINES = {
    "CL behind TE": (CHUNKED, b"Content-Length: 4"),
    "TE behind CL": (b"Content-Length: %d" % len(CALL), CHUNKED),
    "the same CL twice": (b"Content-Length: %d" % len(CALL),) * 2,
    "two CLs": (b"Content-Length: %d" % len(CALL), b"Content-Length: 3"),
    "TE twice": (CHUNKED, CHUNKED),
    "TE and another": (CHUNKED, b"Transfer-Encoding: identity"),
    "space before the colon": (b"Transfer-Encoding : chunked",),
    "space before the colon of CL": (b"Content-Length : %d" % len(CALL),),
    "tab before the colon": (b"Transfer-Encoding\t: chunked",),
    "folded": (b"Transfer-Encoding:\r\n chunked",),
    "folded on": (b"X-A: b\r\n Transfer-Encoding: chunked",),
    "folded by a tab": (b"X-A: b\r\n\tTransfer-Encoding: chunked",),
    "bare LF": (b"X-A: b\nTransfer-Encoding: chunked",),
    "bare CR": (b"X-A: b\rTransfer-Encoding: chunked",),
    "CR twice": (b"X-A: b\r\r\nTransfer-Encoding: chunked",),
    "NUL": (b"X-A: b\x00", CHUNKED),
    "NUL in a name": (b"Transfer-\x00Encoding: chunked",),
    "no name": (b": chunked",),
    "no colon": (b"Transfer-Encoding",),
    "a name beyond ASCII": (b"Transf\xe9r-Encoding: chunked",),
    "space in front": (b" Transfer-Encoding: chunked",),
}
BODIES = {
    "a sign": b"-2f\r\n%b\r\n0\r\n\r\n",
    "0x": b"0x2f\r\n%b\r\n0\r\n\r\n",
    "a space in front": b" 2f\r\n%b\r\n0\r\n\r\n",
    "a space behind": b"2f \r\n%b\r\n0\r\n\r\n",
    "no size": b"\r\n%b\r\n0\r\n\r\n",
    "17 digits": b"1000000000000002f\r\n%b\r\n0\r\n\r\n",
    "bare LF": b"2f\n%b\n0\n\n",
    "bare LF at the end": b"2f\r\n%b\r\n0\r\n\n",
    "LF in an extension": b"2f;a\nb\r\n%b\r\n0\r\n\r\n",
    "CR in an extension": b"2f;a\rb\r\n%b\r\n0\r\n\r\n",
    "no end of a chunk": b"2f\r\n%b0\r\n\r\n",
    "another end of a chunk": b"2f\r\n%bXX0\r\n\r\n",
    "too long a chunk": b"2f\r\n%b;\r\n0\r\n\r\n",
}
VERSIONS = [
    b"HTTP/1.2",
    b"HTTP/2.0",
    b"HTTP/0.9",
    b"HTTP/01.1",
    b"HTTP/1.1.1",
    b"http/1.1",
    b"HTTP",
]
BEHIND = [b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", b"POST /v1/calls HTTP/1.1\r\n", b"\x00"]


async def refused(standing: Standing, *parts: bytes, status: int = 400) -> None:
    """Expect one refusal, a closed connection and an untouched tool."""
    heard = await standing.say("agents", *parts)
    assert (heard.statuses, heard.closed) == ([status], True)
    assert b"connection: close" in heard.raw
    assert standing.recorder.received == []


@pytest.mark.parametrize("length", LENGTHS)
async def test_a_length_that_is_no_number_is_refused(standing: Standing, length: bytes) -> None:
    """Signs, bases, lists and what overflows."""
    field = b"Content-Length: " + length.replace(b"%d", b"%d" % len(CALL))
    await refused(standing, standing.request("agents", field, without=[b"content-length"]))


@pytest.mark.parametrize("coding", CODINGS)
async def test_a_coding_that_is_not_chunked_is_refused(standing: Standing, coding: bytes) -> None:
    """Also a list that ends in chunked: nobody undoes the rest of it."""
    field = b"Transfer-Encoding: " + coding
    given = standing.request("agents", field, without=[b"content-length"], body=CHUNKS)
    await refused(standing, given)


@pytest.mark.parametrize("lines", LINES.values(), ids=LINES)
async def test_headers_read_in_two_ways_are_refused(
    standing: Standing, lines: tuple[bytes, ...]
) -> None:
    """With what hides behind them in the same packet, and in the next."""
    given = standing.request("agents", *lines, without=[b"content-length"], body=CHUNKS)
    hidden = standing.request("agents")
    await refused(standing, given + hidden)
    await refused(standing, given, hidden)


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
async def test_chunks_read_in_two_ways_are_refused(standing: Standing, body: bytes) -> None:
    """No part of such a body is a call."""
    chunks = body % (CALL + b" " * (0x2F - len(CALL)))
    given = standing.request("agents", CHUNKED, without=[b"content-length"], body=chunks)
    await refused(standing, given)


@pytest.mark.parametrize("port", PORTS)
async def test_the_operators_port_is_framed_alike(standing: Standing, port: str) -> None:
    """One protocol serves both."""
    for lines in LINES.values():
        heard = await standing.attack(port, *lines, without=[b"content-length"], body=CHUNKS)
        assert (heard.statuses, heard.closed) == ([400], True)
    assert await standing.nothing_happened()


@pytest.mark.parametrize("version", VERSIONS)
async def test_other_versions_are_refused(standing: Standing, version: bytes) -> None:
    """Their bodies end by other rules."""
    line = b"POST /v1/calls " + version
    status = 505 if version in (b"HTTP/2.0", b"HTTP/0.9") else 400
    await refused(standing, standing.request("agents", line=line), status=status)


async def test_http_1_0_has_no_chunks(standing: Standing) -> None:
    """RFC 9112 section 6.1: its framing is faulty, even if the reading is right."""
    line, without = b"POST /v1/calls HTTP/1.0", [b"content-length"]
    given = standing.request("agents", CHUNKED, line=line, without=without, body=CHUNKS)
    await refused(standing, given)


@pytest.mark.parametrize("field", [b"Idempotency-Key: k", b"X-A: b", b"Content-Length: 0"])
async def test_a_trailer_is_no_header(standing: Standing, field: bytes) -> None:
    """What comes behind the body is refused, not read as if it had come before."""
    body = CHUNKS[:-2] + field + b"\r\n\r\n"
    given = standing.request("agents", CHUNKED, without=[b"content-length"], body=body)
    await refused(standing, given)
    await refused(standing, given[:-20], given[-20:])


@pytest.mark.parametrize("behind", BEHIND)
@pytest.mark.parametrize("delay", [False, True])
async def test_a_request_behind_one_without_answer_is_not_read(
    standing: Standing, behind: bytes, delay: bool
) -> None:
    """One answer, then the connection is closed: nothing hides in a pipeline."""
    standing.recorder.reply = {"n": 1}
    given = standing.request("agents")
    parts = (given, behind) if delay else (given + behind,)
    heard = await standing.say("agents", *parts)
    assert heard.statuses[0] == 200
    assert heard.statuses[1:] in ([], [400])
    assert heard.closed
    assert len(standing.recorder.received) == 1


async def test_many_requests_at_once_are_one(standing: Standing) -> None:
    """The first is answered, the others were never begun."""
    heard = await standing.say("agents", standing.request("agents") * 50)
    assert (heard.statuses, heard.closed) == ([200], True)
    assert len(standing.recorder.received) == 1


@pytest.mark.parametrize("protocol", [b"h2c", b"websocket", b"TLS/1.0"])
async def test_an_offered_upgrade_hides_no_request(standing: Standing, protocol: bytes) -> None:
    """The offer is ignored and the body stays a body, also when it comes later."""
    fields = (b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: " + protocol, b"HTTP2-Settings: A")
    hidden = standing.request("agents", body=CALL)
    given = standing.request("agents", *fields, body=hidden)
    heard = await standing.say("agents", given[: -len(hidden)], hidden, pause_s=0.1, quiet_s=0.5)
    assert (heard.statuses, heard.code) == ([400], "not-json")
    assert standing.recorder.received == []
    honest = standing.request("agents", *fields, b"X-A: b")
    heard = await standing.say("agents", honest[: -len(CALL)], CALL, pause_s=0.1, quiet_s=0.5)
    assert heard.statuses == [200]
    assert len(standing.recorder.received) == 1


@pytest.mark.parametrize(
    "line", [b"CONNECT %b:80 HTTP/1.1", b"PRI * HTTP/2.0", b"TRACE / HTTP/1.1"]
)
async def test_other_uses_of_the_connection_are_refused(standing: Standing, line: bytes) -> None:
    """No tunnel, no other protocol, no echo."""
    heard = await standing.attack("agents", line=line.replace(b"%b", b"127.0.0.1"))
    assert heard.status in (400, 404, 405)
    assert heard.closed
    assert standing.recorder.received == []
