"""`X-Request-ID` of enforcement points: what came with a request goes back with its answer.

OpenID AuthZEN Authorization API 1.0, section 10.1.3. It is on refusals too, so it is put on outside
of the guard, and it is never written anywhere else.
"""

import re

from starlette.types import ASGIApp, Message, Receive, Scope, Send

BELOW = "/access/v1/"
HEADER = b"x-request-id"

_PLAIN = re.compile(rb"[\x20-\x7e]{1,256}")


class RequestIds:
    """Pure ASGI around an application. An odd id is not repeated, nor one of two."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve, with the request's own id on the answer."""
        ids = _ids(scope)
        if len(ids) != 1 or _PLAIN.fullmatch(ids[0]) is None:
            await self._app(scope, receive, send)
            return

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), (HEADER, ids[0])]}
            await send(message)

        await self._app(scope, receive, answer)


def _ids(scope: Scope) -> list[bytes]:
    if scope["type"] != "http" or not scope["path"].startswith(BELOW):
        return []
    return [value for name, value in scope["headers"] if name.lower() == HEADER]
