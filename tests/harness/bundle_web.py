"""A web server with one bundle and its ETag, which can be told to misbehave."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Self


@dataclass
class BundleWeb:
    """Serves `packed`. `mood`: `half` breaks off, `500` fails, `endless` never stops sending.

    `asked` holds the conditions of the requests, `told` the statuses of the answers.
    """

    packed: bytes = b""
    mood: str = ""
    etag: str = ""  # instead of one by the bytes
    token: str = ""
    asked: list[str] = field(default_factory=list)
    told: list[int] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        """Where the bundle is."""
        return f"http://127.0.0.1:{self.port}/bundles/detent.tar.gz"

    @classmethod
    @asynccontextmanager
    async def serving(cls) -> AsyncIterator[Self]:
        web = cls()
        server = await asyncio.start_server(web._answer, "127.0.0.1", 0)
        web.port = server.sockets[0].getsockname()[1]
        try:
            yield web
        finally:
            server.close()
            await server.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            fields = dict(line.split(": ", 1) for line in head[1:] if line)
            await self._send({name.lower(): value for name, value in fields.items()}, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _send(self, fields: dict[str, str], writer: asyncio.StreamWriter) -> None:
        tag = self.etag or f'"{hashlib.sha256(self.packed).hexdigest()}"'
        condition = fields.get("if-none-match", "")
        self.asked.append(condition)
        status, body = 200, self.packed
        if self.mood == "500":
            status, body = 500, b""
        elif self.token and fields.get("authorization") != f"Bearer {self.token}":
            status, body = 401, b""
        elif condition == tag:
            status, body = 304, b""
        self.told.append(status)
        length = 10**9 if self.mood == "endless" else len(body)
        head = f"HTTP/1.1 {status} X\r\nETag: {tag}\r\nContent-Length: {length}\r\n"
        writer.write(f"{head}Connection: close\r\n\r\n".encode())
        writer.write(body[: len(body) // 2] if self.mood == "half" else body)
        while self.mood == "endless":
            writer.write(b"\0" * 1_048_576)
            await writer.drain()
        await writer.drain()
