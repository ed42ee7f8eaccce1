"""Event streams that idle: open while the client and the kill switch let them (HTML 9.2, SSE)."""

import asyncio
from collections.abc import Iterable

from starlette.types import Receive, Send

from proxy.ingress.wire import disconnected

KEEP_ALIVE_S = 15.0

_HEADERS = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache, no-store, no-transform"),
    (b"x-accel-buffering", b"no"),
    (b"x-content-type-options", b"nosniff"),
]
_COMMENT = b": keep-alive\n\n"


def event(message: bytes) -> bytes:
    """Return one JSON-RPC message as an event; JSON has no line breaks of its own."""
    return b"event: message\ndata: %b\n\n" % message


async def idle_stream(
    receive: Receive,
    send: Send,
    closing: Iterable[asyncio.Event],
    first: bytes = _COMMENT,
    keep_alive_s: float = KEEP_ALIVE_S,
) -> None:
    """Send `first`, then a comment every `keep_alive_s` seconds.

    Ends when one of `closing` is set, when the client has gone, or when it does not read.
    """
    waits = [asyncio.create_task(waited.wait()) for waited in closing]
    waiting = {*waits, asyncio.create_task(disconnected(receive))}
    await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
    try:
        await _send(send, first, keep_alive_s)
        while not await _any_done(waiting, keep_alive_s):
            await _send(send, _COMMENT, keep_alive_s)
    except TimeoutError:
        return
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
    await send({"type": "http.response.body", "body": b""})


async def _any_done(waiting: Iterable[asyncio.Task[object]], timeout_s: float) -> bool:
    done, _ = await asyncio.wait(waiting, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    return bool(done)


async def _send(send: Send, chunk: bytes, timeout_s: float) -> None:
    async with asyncio.timeout(timeout_s):
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
