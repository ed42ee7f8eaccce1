"""The health listener: two paths for probes, on any address, and nothing else.

A probe comes from the node under whatever name or address it likes, so Host is not looked at: there
is nothing here that a page or a stranger could use. No body is read, no token known, nothing said
but a status.
"""

from collections.abc import Awaitable, Callable

from starlette.types import ASGIApp, Receive, Scope, Send

from proxy.ingress.problems import LastResort
from proxy.ingress.wire import respond

METHODS = ("GET", "HEAD")
ALLOW = ((b"allow", b"GET, HEAD"),)
CLOSE = ((b"connection", b"close"),)


def health_app(is_ready: Callable[[], Awaitable[bool]]) -> ASGIApp:
    """Return the application of the health listener; `is_ready` must be cheap to ask often."""
    return LastResort(HealthDoor(is_ready))


class HealthDoor:
    """Answers 200, or 503 while no call could be taken; anything else does not exist."""

    def __init__(self, is_ready: Callable[[], Awaitable[bool]]) -> None:
        self._is_ready = is_ready

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer and hang up: a prober that keeps connections would hold them for nothing."""
        del receive
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
        elif scope["path"] not in ("/healthz", "/readyz"):
            await respond(send, 404, b"", CLOSE)
        elif scope["method"] not in METHODS:
            await respond(send, 405, b"", (*ALLOW, *CLOSE))
        else:
            is_well = scope["path"] == "/healthz" or await self._is_ready()
            await respond(send, 200 if is_well else 503, b"", CLOSE)
