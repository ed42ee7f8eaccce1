"""A10: compressed bodies, honest ones and bombs."""

import gzip
import zlib

import pytest

from tests.harness.agents_port import AgentsPort, code_of

CALL = b'{"server":"rec","tool":"write","arguments":{}}'
BODIES = {
    "gzip": gzip.compress(CALL),
    "deflate": zlib.compress(CALL),
    "br": b"\x0b\x16\x80" + CALL + b"\x03",
    "gzip, gzip": gzip.compress(gzip.compress(CALL)),
    "GZIP": gzip.compress(b" " * 50_000_000),
    "x-unknown": CALL,
    "identity, gzip": gzip.compress(CALL),
    "aws-chunked": CALL,
}


@pytest.mark.parametrize("path", ["/v1/calls", "/mcp"])
@pytest.mark.parametrize("encoding", BODIES)
async def test_no_encoding_is_taken(agents_port: AgentsPort, path: str, encoding: str) -> None:
    """415 without decompressing a byte, and the pipeline receives nothing."""
    headers = {"Content-Encoding": encoding}
    status, answer = await agents_port.ask("POST", path, BODIES[encoding], headers)
    assert (status, code_of(answer)) == (415, "unsupported-media-type")
    assert agents_port.gate.calls == []


async def test_identity_is_no_encoding(agents_port: AgentsPort) -> None:
    """RFC 9110 section 8.4.1 lets a client say so."""
    headers = {"Content-Encoding": "identity"}
    assert (await agents_port.ask("POST", "/v1/calls", CALL, headers))[0] == 200
    assert len(agents_port.gate.calls) == 1
