"""The few gestures of ASGI that every door shares."""

import re
from collections.abc import Iterable
from functools import lru_cache

from starlette.types import Receive, Scope, Send

from proxy.errors import Refused
from proxy.ingress.unread import HANG_UP

_BEARER = re.compile(r"(?i:bearer) ([A-Za-z0-9._~+/-]{1,4096}=*)")

JSON = ((b"content-type", b"application/json"),)
NO_STORE = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
_ALWAYS = tuple((name.encode(), value.encode()) for name, value in NO_STORE.items())
_BEFORE = b"".join(b"%b: %b\r\n" % field for field in JSON) + b"content-length: "
_AFTER = b"".join(b"%b: %b\r\n" % field for field in _ALWAYS)


def header(scope: Scope, name: bytes) -> str | None:
    """Return the first header of that lower-case name, or None."""
    for known, value in scope["headers"]:
        if known == name:
            return str(value, "latin-1")
    return None


def bearer(scope: Scope) -> str:
    """Return the token of `Authorization: Bearer` (RFC 6750 section 2.1).

    Raises Refused: not-authenticated.
    """
    given = _BEARER.fullmatch(header(scope, b"authorization") or "")
    if given is None:
        raise Refused.because("not-authenticated")
    return given[1]


def accepts(scope: Scope, media_type: str) -> bool:
    """Return whether the Accept header takes that type; without one everything is taken."""
    given = header(scope, b"accept")
    return given is None or _takes(given, media_type)


@lru_cache(maxsize=64)
def _takes(given: str, media_type: str) -> bool:
    """Read an Accept header; clients say the same one with every request."""
    ranges = {part.partition(";")[0].strip().lower() for part in given.split(",")}
    return not ranges.isdisjoint({media_type, media_type.partition("/")[0] + "/*", "*/*"})


async def read_body(receive: Receive) -> bytes:
    """Return the whole body; the guard has bounded its size and time."""
    chunks = []
    more = True
    while more:
        message = await receive()
        chunks.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(chunks)


async def respond(
    send: Send, status: int, body: bytes, headers: Iterable[tuple[bytes, bytes]] = JSON
) -> None:
    """Send one whole response. No answer of ours may be cached or sniffed."""
    fields = [*headers, (b"content-length", b"%d" % len(body)), *_ALWAYS]
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": body})


def whole_answer(defaults: Iterable[tuple[bytes, bytes]], body: bytes) -> bytes:
    """Return the bytes of a 200 with JSON, as a server with these headers sends it."""
    own = b"".join(b"%b: %b\r\n" % field for field in defaults)
    return b"HTTP/1.1 200 OK\r\n%b%b%d\r\n%b\r\n%b" % (own, _BEFORE, len(body), _AFTER, body)


async def disconnected(receive: Receive) -> None:
    """Return when the client has gone away."""
    while (await receive())["type"] != "http.disconnect":
        pass


def hang_up_soon(scope: Scope) -> None:
    """Drop the connection unless its client takes what is written within half a second."""
    hurry = scope.get(HANG_UP)
    if hurry is not None:
        hurry()
