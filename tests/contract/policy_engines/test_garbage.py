"""What is not a whole, strict, right answer is no answer, whichever engine reads it."""

from pathlib import Path
from typing import Any

import pytest

from proxy.errors import PolicyUnavailable
from proxy.pdp.base import StagedBundle

GOOD = b'{"provenance":{"bundles":{"b":{"revision":"first"}}},"result":{"verdict":"allow"}}'
OK = b"HTTP/1.1 200 OK\r\n"


def http(body: bytes, head: bytes = OK) -> bytes:
    """Frame a body."""
    return b"%bContent-Length: %d\r\n\r\n%b" % (head, len(body), body)


GARBAGE = {
    "silence": b"",
    "close": b"close",
    "not HTTP": b"\x00\x01\x02 nonsense\r\n\r\n",
    "half a body": OK + b"Content-Length: 500\r\n\r\n{",
    "endless header": OK + b"X: " + b"x" * 200_000,
    "endless body": OK + b"Content-Length: 9999999\r\n\r\n" + b" " * 500_000,
    "endless chunks": OK + b"Transfer-Encoding: chunked\r\n\r\nfffff\r\n" + b" " * 0xFFFFF,
    "not JSON": http(b"allow"),
    "not UTF-8": http(b'{"result":"\xff"}'),
    "duplicate keys": http(GOOD.replace(b'"allow"', b'"deny","verdict":"allow"')),
    "NaN": http(GOOD.replace(b'"allow"', b"NaN")),
    "an array": http(b"[]"),
    "no provenance": http(b'{"result":{"verdict":"allow"}}'),
    "no bundles": http(GOOD.replace(b'"bundles"', b'"bundle"')),
    "bundles of another shape": http(GOOD.replace(b'{"revision":"first"}', b"null")),
    "another revision": http(GOOD.replace(b"first", b"older")),
    "status 500": http(GOOD, b"HTTP/1.1 500 Internal Server Error\r\n"),
    "status 404": http(GOOD, b"HTTP/1.1 404 Not Found\r\n"),
    "status 201": http(GOOD, b"HTTP/1.1 201 Created\r\n"),
    "a redirect": http(GOOD, b"HTTP/1.1 307 Temporary Redirect\r\nLocation: /v1/data/other\r\n"),
}


async def test_garbage_is_no_answer(faked: Any, tmp_path: Path) -> None:
    """Each of the table is refused within the deadline; a right answer is taken again after it."""
    answer, staged = tmp_path / "answer", StagedBundle(tmp_path, "first")
    answer.write_bytes(http(GOOD))
    await faked.serve(staged)
    await faked.engine.start(staged)
    for name, garbage in GARBAGE.items():
        answer.write_bytes(garbage)
        assert await faked.refusal(), name
        answer.write_bytes(http(GOOD))
        assert await faked.answer_again() == {"verdict": "allow"}, name


@pytest.mark.parametrize("name", ["not JSON", "status 500", "close"])
async def test_garbage_at_the_start_is_no_engine(faked: Any, tmp_path: Path, name: str) -> None:
    """An engine whose OPA answers with garbage does not start."""
    (tmp_path / "answer").write_bytes(GARBAGE[name])
    staged = StagedBundle(tmp_path, "first")
    await faked.serve(staged)
    with pytest.raises(PolicyUnavailable):
        await faked.engine.start(staged)
