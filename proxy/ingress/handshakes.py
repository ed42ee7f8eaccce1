"""TLS connections before they are any: agreed on in time, no more of them than a port holds.

The event loop's own TLS servers wait a minute for a handshake and count none that has not ended: a
flood that says nothing would use up the open files, and then not even an operator can connect.
"""

import asyncio
import logging
import secrets
import socket
import ssl
from collections.abc import Callable

from proxy.ingress.protocol import ConnectionLimits

log = logging.getLogger(__name__)

AT_ONCE = 64
ALWAYS = 32
PAUSE_S = 1.0


class TlsListener:
    """Accepts on a bound socket and hands on what has agreed on TLS.

    `held` tells how many connections of the port have agreed already. A handshake more than there
    is room for takes the place of another one, picked by chance so that a flood drops its own; a
    few are always tried, because a port that is full makes room among its connections.
    """

    def __init__(
        self,
        bound: socket.socket,
        context: ssl.SSLContext,
        protocol: Callable[[], asyncio.Protocol],
        limits: ConnectionLimits,
        held: Callable[[], int],
    ) -> None:
        self._socket = bound
        self._context = context
        self._protocol = protocol
        self._limits = limits
        self._held = held
        self._pending: set[asyncio.Task[None]] = set()
        self._resuming: asyncio.TimerHandle | None = None

    def start(self, backlog: int) -> None:
        """Begin to accept, on the running loop."""
        self._socket.setblocking(False)
        self._socket.listen(backlog)
        self._listen()

    def close(self) -> None:
        """Accept no more and drop what has not agreed yet."""
        if self._resuming is not None:
            self._resuming.cancel()
        asyncio.get_running_loop().remove_reader(self._socket)
        for task in self._pending:
            task.cancel()

    async def wait_closed(self) -> None:
        """Wait until what was dropped is gone."""
        await asyncio.gather(*self._pending, return_exceptions=True)

    def _listen(self) -> None:
        asyncio.get_running_loop().add_reader(self._socket, self._accept)

    def _accept(self) -> None:
        for _ in range(AT_ONCE):
            try:
                accepted, _ = self._socket.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as error:  # no files left: the loop would ask again at once, for ever
                log.error("cannot accept connections: %s", error.strerror)
                loop = asyncio.get_running_loop()
                loop.remove_reader(self._socket)
                self._resuming = loop.call_later(PAUSE_S, self._listen)
                return
            accepted.setblocking(False)
            self.take(accepted)

    def take(self, accepted: socket.socket) -> None:
        """Agree on TLS with whoever was accepted, here or elsewhere."""
        if len(self._pending) >= max(ALWAYS, self._limits.connections - self._held()):
            dropped = secrets.choice(tuple(self._pending))
            self._pending.discard(dropped)
            dropped.cancel()
        task = asyncio.create_task(self._agree(accepted))
        self._pending.add(task)

        def ended(task: asyncio.Task[None]) -> None:
            self._pending.discard(task)
            if task.cancelled():
                accepted.close()

        task.add_done_callback(ended)

    async def _agree(self, accepted: socket.socket) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                self._protocol,
                accepted,
                ssl=self._context,
                ssl_handshake_timeout=self._limits.handshake_timeout_s,
            )
        except OSError as error:
            log.info("no TLS agreed on: %s", type(error).__name__)
