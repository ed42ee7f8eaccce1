"""How long what was written waits for its reader."""

import asyncio
import fcntl
import logging
import sys
import termios

log = logging.getLogger(__name__)

HANG_UP = "detent.hang_up"
GRACE_S = 0.5


class Unread:
    """Watches one connection: a reader takes at least `min_bytes` in `timeout_s`, or all there is.

    One that does not is cut off, also when the connection is closing and only the rest of its
    last answer waits.
    """

    def __init__(self, transport: asyncio.Transport, timeout_s: float, min_bytes: int) -> None:
        self._transport = transport
        self._timeout_s = timeout_s
        self._min_bytes = min_bytes
        self._loop = asyncio.get_running_loop()
        self._due: asyncio.TimerHandle | None = None
        self._gone = False
        self._since = 0.0
        self._waiting_bytes = 0

    def wait(self) -> None:
        """Give the reader a while from now for what is written by now."""
        if self._gone:
            return
        self._since = self._loop.time()
        self._waiting_bytes = self._count()
        if self._waiting_bytes and self._due is None:
            self._due = self._loop.call_later(self._timeout_s, self._look)

    def hurry(self) -> None:
        """Give the reader no more than a moment: what is not taken by then is thrown away."""
        self._loop.call_later(GRACE_S, self._drop)

    def forget(self) -> None:
        """Wait no longer: the connection is gone."""
        self._gone = True
        if self._due is not None:
            self._due.cancel()

    def _drop(self) -> None:
        if not self._gone and self._transport.get_write_buffer_size():
            log.warning("what a kill has ended was not read, and thrown away")
            self._transport.abort()

    def _look(self) -> None:
        self._due = None
        waiting_bytes = self._count()
        left_s = self._since + self._timeout_s - self._loop.time()
        if waiting_bytes and left_s > 0:
            self._due = self._loop.call_later(left_s, self._look)
        elif self._waiting_bytes - waiting_bytes >= self._min_bytes:
            self.wait()
        elif waiting_bytes:
            log.warning("an answer was not read in time")
            self._transport.abort()

    def _count(self) -> int:
        """Return how much waits here and in the kernel, 0 when nothing waits here.

        Without the kernel's part a slow reader would seem to stand still: it asks for more only
        when a third of its queue, which may be megabytes, is free.
        """
        waiting = self._transport.get_write_buffer_size()
        if not waiting:
            return 0
        handle = self._transport.get_extra_info("socket").fileno()
        return waiting + int.from_bytes(
            fcntl.ioctl(handle, termios.TIOCOUTQ, bytes(4)), sys.byteorder
        )
