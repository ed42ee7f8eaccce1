"""`python -m bench.pass_through URL`: a proxy that only forwards, on the stack Detent stands on.

uvicorn with uvloop and httptools in front, one pooled aiohttp session behind, nothing in between:
the least that a proxy of this stack can add. Prints its own URL.
"""

import socket
import sys

import aiohttp
import uvicorn
from starlette.types import Receive, Scope, Send

HOP = frozenset({b"host", b"connection", b"content-length", b"transfer-encoding"})


class PassThrough:
    """Sends every request on as it came."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._http: aiohttp.ClientSession | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward one request and its answer."""
        if self._http is None:
            self._http = aiohttp.ClientSession(auto_decompress=False)
        body = await whole(receive)
        kept = {
            name.decode(): value.decode() for name, value in scope["headers"] if name not in HOP
        }
        async with self._http.post(self._url + scope["path"], data=body, headers=kept) as answer:
            data = await answer.read()
        head = [
            (b"content-type", answer.headers["Content-Type"].encode()),
            (b"content-length", b"%d" % len(data)),
        ]
        await send({"type": "http.response.start", "status": answer.status, "headers": head})
        await send({"type": "http.response.body", "body": data})


async def whole(receive: Receive) -> bytes:
    """Return a request's body."""
    chunks, more = [], True
    while more:
        message = await receive()
        chunks.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(chunks)


def main() -> None:
    """Serve on a free port until ended."""
    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))
    bound.listen()
    print(f"http://127.0.0.1:{bound.getsockname()[1]}", flush=True)
    config = uvicorn.Config(
        PassThrough(sys.argv[1]),
        loop="uvloop",
        http="httptools",
        lifespan="off",
        access_log=False,
        log_level="error",
    )
    uvicorn.Server(config).run([bound])


if __name__ == "__main__":
    main()
