"""A10 on the real process: compressed bodies, on every way in."""

import gzip
import time
import zlib

import pytest

from tests.harness.raw import CALL
from tests.harness.standing import PORTS, Standing

pytestmark = pytest.mark.asyncio(loop_scope="module")

BOMB = gzip.compress(b" " * 100_000_000)
BODIES = {
    b"gzip": BOMB[:60_000],
    b"x-gzip": gzip.compress(CALL),
    b"deflate": zlib.compress(CALL),
    b"br": CALL,
    b"zstd": CALL,
    b"compress": CALL,
    b"identity, gzip": gzip.compress(CALL),
    b"gzip, identity": gzip.compress(CALL),
    b"IDENTITY;q=1": CALL,
    b"*": CALL,
}
LINES = {
    "agents": [
        b"POST /v1/calls", b"POST /mcp", b"POST /mcp/rec", b"POST /v1/sessions",
        b"POST /http/rec/write", b"POST /hooks/claude-code",
    ],
    "operators": [b"POST /killswitch", b"PUT /v1/dry-run"],
}  # fmt: skip


@pytest.mark.parametrize("port", PORTS)
@pytest.mark.parametrize("encoding", BODIES, ids=bytes.decode)
async def test_no_encoding_is_undone(standing: Standing, port: str, encoding: bytes) -> None:
    """415 at once and on every path; a bomb stays as small as it came."""
    before = time.monotonic()
    for line in LINES[port]:
        field = b"Content-Encoding: " + encoding
        heard = await standing.attack(port, field, line=line + b" HTTP/1.1", body=BODIES[encoding])
        assert (heard.status, heard.code, heard.closed) == (415, "unsupported-media-type", True)
    assert time.monotonic() - before < 5
    assert await standing.nothing_happened()
