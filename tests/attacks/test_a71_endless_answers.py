"""A71: an answer that is huge, endless, slow, or larger than it looks."""

import asyncio
import gzip
import json
import time
import zlib
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from proxy.model.tool import Effect
from tests.harness.gateway import Gateway
from tests.harness.mcp_on_wire import event
from tests.harness.processes import memory_of
from tests.harness.reached import Reached
from tests.harness.wire import Received, Wire, answer
from tests.harness.world import World

pytestmark = pytest.mark.alone

MIB = 1_048_576
CAP = 16 * MIB
OK = b"HTTP/1.1 200 OK\r\n"
JSON = OK + b"Content-Type: application/json\r\n"
SSE = OK + b"Content-Type: text/event-stream\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
Handler = Callable[[Received, asyncio.StreamWriter], Coroutine[Any, Any, None]]
UNANSWERED = {"failed", "unknown"}


def endlessly(head: bytes, piece: bytes, pause_s: float = 0.0) -> Handler:
    """Write a head once and a piece for ever, until the connection is closed."""

    async def write(received: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        with suppress(ConnectionError):
            while not writer.is_closing():
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(pause_s)

    return write


def whole(data: bytes) -> Handler:
    async def write(received: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(data)

    return write


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


ENDLESS = {
    "a body to the end of the connection": endlessly(JSON + b"\r\n", b"x" * MIB),
    "chunks": endlessly(JSON + CHUNKED, chunk(b"x" * MIB)),
    "a string": endlessly(JSON + CHUNKED + chunk(b'{"result":"'), chunk(b"x" * MIB)),
    "events": endlessly(SSE + CHUNKED, chunk(event(b"x" * 65_536))),
    "one event": endlessly(SSE + CHUNKED + chunk(b"data: "), chunk(b"x" * MIB)),
    "lines of an event": endlessly(SSE + CHUNKED, chunk(b"data: x\n" * 65_536)),
    "comments": endlessly(SSE + CHUNKED, chunk(b": x\n" * 65_536)),
    "headers": endlessly(OK, b"X-A: %b\r\n" % (b"a" * 1_000)),
    "one header": endlessly(OK + b"X-A: ", b"a" * 65_536),
    "a status line": endlessly(b"HTTP/1.1 200 ", b"a" * 65_536),
    "trailers": endlessly(JSON + CHUNKED + b"0\r\n", b"X-A: %b\r\n" % (b"a" * 1_000)),
}
SLOW = {
    "nothing": endlessly(b"", b"", 0.02),
    "a head": endlessly(b"HTTP/1.1 200 O", b"K", 0.02),
    "headers": endlessly(OK, b"X-A: a\r\n", 0.02),
    "a body": endlessly(JSON + b"Content-Length: 100000\r\n\r\n", b" ", 0.02),
    "chunks": endlessly(JSON + CHUNKED, chunk(b" "), 0.02),
    "comments": endlessly(SSE + CHUNKED, chunk(b": \n"), 0.02),
    "events": endlessly(SSE + CHUNKED, chunk(event(b'{"jsonrpc":"2.0","method":"x"}')), 0.02),
    "answers to others": endlessly(
        SSE + CHUNKED, chunk(event(b'{"jsonrpc":"2.0","id":99,"result":{}}')), 0.02
    ),
    "interim answers": endlessly(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n", 0.02),
    "an extension of a chunk": endlessly(JSON + CHUNKED + b"1;", b"a" * 65_536),
    "continue": endlessly(b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.02),
}
BOMB = gzip.compress(b" " * 100 * MIB)
ENCODED = {
    "gzip": answer(BOMB, content_encoding="gzip"),
    "GZip": answer(BOMB, content_encoding="GZip"),
    "deflate": answer(zlib.compress(b"{}"), content_encoding="deflate"),
    "br": answer(b"\x06{}", content_encoding="br"),
    "zstd": answer(b"{}", content_encoding="zstd"),
    "gzip, gzip": answer(gzip.compress(BOMB), content_encoding="gzip, gzip"),
    "identity, gzip": answer(BOMB, content_encoding="identity, gzip"),
    "identity, then gzip": OK
    + b"Content-Encoding: identity\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}",
    "as a transfer coding": JSON
    + b"Transfer-Encoding: gzip, chunked\r\n\r\n"
    + chunk(BOMB)
    + b"0\r\n\r\n",
}


@pytest.mark.parametrize("handler", ENDLESS.values(), ids=ENDLESS)
async def test_an_endless_answer_ends_at_the_cap(reached: Reached, handler: Handler) -> None:
    """The connection is closed, and nobody is given a part of it as the whole."""
    reached.on_call = handler
    reached.wire.closed.clear()
    before = time.monotonic()
    assert await reached.outcome(timeout_s=60) in UNANSWERED
    assert time.monotonic() - before < 50
    async with asyncio.timeout(5):
        await reached.wire.closed.wait()


@pytest.mark.parametrize("handler", SLOW.values(), ids=SLOW)
async def test_a_slow_answer_ends_at_the_time_limit(reached: Reached, handler: Handler) -> None:
    """What drips does not prolong it."""
    reached.on_call = handler
    before = time.monotonic()
    assert await reached.outcome(timeout_s=0.5) in UNANSWERED
    assert time.monotonic() - before < 2


async def test_a_length_over_the_cap_is_not_even_begun(reached: Reached) -> None:
    """It is refused by what it says of itself."""
    head = JSON + b"Content-Length: %d\r\n\r\n" % (CAP * 1_000)
    reached.on_call = endlessly(head, b"", 0.05)
    before = time.monotonic()
    assert await reached.outcome(timeout_s=10) in UNANSWERED
    assert time.monotonic() - before < 5


@pytest.mark.parametrize("data", ENCODED.values(), ids=ENCODED)
async def test_an_encoded_answer_is_not_unpacked(reached: Reached, data: bytes) -> None:
    """Identity was asked for; a bomb stays as small as it came."""
    reached.on_call = whole(data)
    assert await reached.outcome() in UNANSWERED
    assert reached.calls[0].header("accept-encoding") == "identity"


@pytest.mark.parametrize("text", [b"[" * 500_000, b'{"a":' * 200_000, b"[[[]," * 200_000])
async def test_a_deep_answer_harms_nobody(reached: Reached, text: bytes) -> None:
    """It is an answer like any other, or none; the next call is answered."""
    reached.on_call = whole(answer(text))
    await reached.outcome(effect=Effect.READ)
    reached.on_call = whole(answer(b"{}"))
    assert await reached.outcome(effect=Effect.READ) in {"result", *UNANSWERED}


async def test_the_gateway_outlives_them(tmp_path: Path) -> None:
    """Eight endless answers at once fail, memory stays bounded, and the next call is done."""
    handler = endlessly(JSON + CHUNKED, chunk(b"x" * MIB))
    async with Wire(handler) as wire, Gateway(World(tmp_path, wire.url)) as gateway:
        calls = [gateway.call("write", {"text": "x"}) for _ in range(8)]
        answers = await asyncio.gather(*calls)
        assert {status for status, _ in answers} == {504}
        assert {answer["outcome"] for _, answer in answers} == {"unknown"}
        peak = memory_of(gateway.pid)
        wire.handler = None
        assert (await gateway.call("write", {"text": "x"}))[0] == 200
    assert peak < 600 * MIB


async def test_a_large_answer_under_the_cap_passes_whole(reached: Reached) -> None:
    """The cap is no lower than it says."""
    text = "x" * (CAP - MIB)
    numbered: dict[str, Any] = {"content": [{"type": "text", "text": text}]}

    async def write(received: Received, writer: asyncio.StreamWriter) -> None:
        number = json.loads(received.body).get("id", 0)
        body = json.dumps({"jsonrpc": "2.0", "id": number, "result": numbered}).encode()
        writer.write(answer(body))

    reached.on_call = write
    assert text.encode() in (await reached.call(effect=Effect.READ)).result
