"""A relay that adds a token to every request and touches nothing else.

For clients that can only be given a URL. It reads request heads to find where the next one begins;
bodies and everything the gateway says pass as they come, byte by byte, in both directions, and so
does the closing of either side.
"""

import asyncio
import re
from contextlib import suppress
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

MAX_HEAD = 65_536
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)", re.IGNORECASE)


class Relay:
    """Listens on a free port of 127.0.0.1 and speaks to the gateway at `target`.

    Where a client names the relay in Host or Origin, the gateway reads its own name there, as
    behind any reverse proxy; every other name passes as it is.
    """

    def __init__(self, target: str, token: str) -> None:
        address = urlsplit(target)
        self._host, self._port = address.hostname or "", address.port or 0
        self._credential = b"\r\nAuthorization: Bearer " + token.encode()
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=MAX_HEAD)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    @property
    def authority(self) -> str:
        """Where it listens, as `host:port`."""
        assert self._server is not None
        return f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def _accept(self, client: asyncio.StreamReader, answer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(client, answer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, client: asyncio.StreamReader, answer: asyncio.StreamWriter) -> None:
        try:
            gateway, request = await asyncio.open_connection(self._host, self._port)
        except OSError:
            answer.close()
            return
        ways = [
            asyncio.create_task(self._requests(client, request)),
            asyncio.create_task(_pass_on(gateway, answer)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            request.close()
            answer.close()

    async def _requests(self, client: asyncio.StreamReader, request: asyncio.StreamWriter) -> None:
        """Pass requests on, one after the other, each with the token."""
        with suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = (await client.readuntil(b"\r\n\r\n"))[:-4]
                length = _LENGTH.search(head)
                request.write(self._named(head) + self._credential + b"\r\n\r\n")
                left = int(length[1]) if length else 0
                while left:
                    part = await client.read(min(left, MAX_HEAD))
                    if not part:
                        return
                    left -= len(part)
                    request.write(part)
                await request.drain()

    def _named(self, head: bytes) -> bytes:
        ours = re.escape(self.authority.encode())
        named = rb"(\r\n(?:host:|origin:[ \t]*http://)[ \t]*)" + ours + rb"(?=\r\n|\Z)"
        theirs = f"{self._host}:{self._port}".encode()
        return re.sub(named, lambda found: found[1] + theirs, head, flags=re.IGNORECASE)


async def _pass_on(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while part := await source.read(MAX_HEAD):
            target.write(part)
            await target.drain()
