"""A request body: read whole under a cap, or thrown away, never in part."""

import asyncio
import secrets

from starlette.types import Message, Receive

from proxy.errors import BadRequest

DISCARD_BYTES = 16_777_216
DISCARD_S = 1.0
SMALL_BYTES = 65_536


def too_large() -> BadRequest:
    """Refuse a body over the cap."""
    return BadRequest("body-too-large", "The body is too large; send less at once.", 413)


class LargeBodies:
    """The deadlines of the large bodies that are coming now; at most `most` come at a time.

    Nobody is known yet while a body comes: strangers may not fill the memory with parts of them.
    One more takes the place of another, picked by chance so that a flood drops its own.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._coming: list[asyncio.Timeout] = []

    def add(self, deadline: asyncio.Timeout) -> None:
        """One more is large. When that is too many, one of them has no time left."""
        self._coming.append(deadline)
        if len(self._coming) > self._most:
            dropped = self._coming.pop(secrets.randbelow(len(self._coming)))
            dropped.reschedule(asyncio.get_running_loop().time())

    def remove(self, deadline: asyncio.Timeout) -> None:
        """Count it no longer: it has come, or never will."""
        if deadline in self._coming:
            self._coming.remove(deadline)


class Body:
    """The body of one request; `gone` when the client hung up before its end."""

    def __init__(self, receive: Receive) -> None:
        self.data = b""
        self.gone = False
        self._receive = receive
        self._unread = True
        self._given = True

    async def read(self, max_bytes: int, timeout_s: float, large: LargeBodies) -> None:
        """Take the whole body into `data`. Raises BadRequest body-too-large, TimeoutError."""
        async with asyncio.timeout(timeout_s) as deadline:
            try:
                self.data = await self._whole(max_bytes, deadline, large)
            finally:
                large.remove(deadline)
        self._given = False

    async def _whole(self, max_bytes: int, deadline: asyncio.Timeout, large: LargeBodies) -> bytes:
        chunks: list[bytes] = []
        size = 0
        while self._unread:
            chunks.append(await self._chunk())
            was_small = size <= SMALL_BYTES
            size += len(chunks[-1])
            if size > max_bytes:
                raise too_large()
            if was_small and size > SMALL_BYTES and self._unread:
                large.add(deadline)
        return b"".join(chunks)

    async def discard(self) -> None:
        """Take what still comes and forget it, for a moment.

        A client that is still sending when the connection closes would lose the answer to a reset.
        """
        size = 0
        try:
            async with asyncio.timeout(DISCARD_S):
                while self._unread and size < DISCARD_BYTES:
                    size += len(await self._chunk())
        except TimeoutError:
            self._unread = False

    async def replay(self) -> Message:
        """Receive for the application: the body at once, then what the server says."""
        if self._given:
            return await self._receive()
        self._given = True
        return {"type": "http.request", "body": self.data, "more_body": False}

    async def _chunk(self) -> bytes:
        message = await self._receive()
        self.gone = message["type"] == "http.disconnect"
        self._unread = message.get("more_body", False)
        chunk: bytes = message.get("body", b"")
        return chunk
