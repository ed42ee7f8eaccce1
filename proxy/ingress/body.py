"""A request body: read whole under a cap, or thrown away, never in part."""

import asyncio

from starlette.types import Message, Receive

from proxy.errors import BadRequest

DISCARD_BYTES = 16_777_216
DISCARD_S = 1.0


def too_large() -> BadRequest:
    """Refuse a body over the cap."""
    return BadRequest("body-too-large", "The body is too large; send less at once.", 413)


class Body:
    """The body of one request; `gone` when the client hung up before its end."""

    def __init__(self, receive: Receive) -> None:
        self.data = b""
        self.gone = False
        self._receive = receive
        self._unread = True
        self._given = True

    async def read(self, max_bytes: int) -> None:
        """Take the whole body into `data`. Raises BadRequest body-too-large."""
        chunks: list[bytes] = []
        size = 0
        while self._unread:
            chunks.append(await self._chunk())
            size += len(chunks[-1])
            if size > max_bytes:
                raise too_large()
        self.data = b"".join(chunks)
        self._given = False

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
