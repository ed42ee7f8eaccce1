"""A worker as it knows itself: its number, its parent, its siblings."""

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass, field

from proxy.process.siblings import Siblings

HEEDED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)
ORDER_BYTES = 256


@dataclass(frozen=True, slots=True)
class Worker:
    """One of several processes that serve together. `number` counts from 1."""

    number: int
    control: socket.socket = field(repr=False)
    siblings: Siblings = field(repr=False)

    def serves(self) -> None:
        """Tell the parent, which may have gone."""
        with contextlib.suppress(OSError):
            self.control.send(b"serves")

    def hear(self, halt: Callable[[str], None]) -> None:
        """Have `halt` called with the id of every kill the parent orders, on the running loop."""
        loop = asyncio.get_running_loop()
        self.control.setblocking(False)

        def heard() -> None:
            try:
                said = self.control.recv(ORDER_BYTES).decode()
            except OSError:
                return
            word, _, order_id = said.partition(" ")
            if word == "halt":
                halt(order_id)
            if not said:  # the end of the parent is the end of us, see workers.py
                loop.remove_reader(self.control)

        loop.add_reader(self.control, heard)


def take_signals() -> None:
    """Let in what a parent has held back until somebody heeds it."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HEEDED)
