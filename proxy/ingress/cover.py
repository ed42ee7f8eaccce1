"""Connections that another worker was meant to take, and leaves waiting.

Each worker has a listening socket of its own on every port (SO_REUSEPORT), so that the kernel
spreads new connections evenly. What waits at the socket of a worker that is dead, frozen or busy
is taken by a sibling, so that no connection is lost with a worker or waits for it.
"""

import asyncio
import logging
import socket
from collections.abc import Callable

log = logging.getLogger(__name__)

PATIENCE_S = 0.05
AT_ONCE = 64


class Cover:
    """Looks after a bound socket of a sibling, on the running loop. `take` gets what it accepts."""

    def __init__(
        self,
        bound: socket.socket,
        take: Callable[[socket.socket], None],
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._socket = bound
        self._take = take
        self._patience_s = patience_s
        self._waiting: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to look, also at a socket that does not listen yet."""
        self._socket.setblocking(False)
        self._look()

    def close(self) -> None:
        """Look no more; the socket stays as it is."""
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None
        asyncio.get_running_loop().remove_reader(self._socket)

    def _look(self) -> None:
        self._waiting = None
        asyncio.get_running_loop().add_reader(self._socket, self._seen)

    def _seen(self) -> None:
        """Somebody has come: leave whose it is some time to take it."""
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._socket)
        self._waiting = loop.call_later(self._patience_s, self._accept)

    def _accept(self) -> None:
        """Take what is still there."""
        for _ in range(AT_ONCE):
            try:
                accepted, _ = self._socket.accept()
            except BlockingIOError:
                break
            except OSError as error:  # it does not listen yet, or no files are left
                log.debug("nothing covered: %s", error.strerror)
                break
            accepted.setblocking(False)
            self._take(accepted)
        self._look()
