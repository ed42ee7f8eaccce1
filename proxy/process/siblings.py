"""How workers ask each other something: by sockets without a name, which only they have.

Each worker has a datagram socket that its siblings write to. Who asks sends along one end of a new
socket pair; who is asked writes its answer into it and closes it. There is no file to clean up, and
nobody else can ask.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass

CHUNK_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Mailbox:
    """Where one worker is asked: siblings write to `door`, it reads from `desk`."""

    door: socket.socket
    desk: socket.socket

    @classmethod
    def new(cls) -> "Mailbox":
        """Make one, to be inherited by all workers."""
        door, desk = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        door.setblocking(False)
        desk.setblocking(False)
        return cls(door, desk)

    def close(self) -> None:
        """Let go of both ends."""
        self.door.close()
        self.desk.close()


class Siblings:
    """The workers of one parent as one of them, `number` (from 1), sees them."""

    def __init__(self, number: int, mailboxes: tuple[Mailbox, ...]) -> None:
        self.number = number
        self._mailboxes = mailboxes
        self._answering: set[asyncio.Task[None]] = set()

    def answer(self, say: Callable[[], bytes]) -> None:
        """Answer whoever asks, on the running loop, to its end."""
        desk, loop = self._mailboxes[self.number - 1].desk, asyncio.get_running_loop()

        def asked() -> None:
            for asker in _askers(desk):
                task = loop.create_task(_say(asker, say()))
                self._answering.add(task)
                task.add_done_callback(self._answering.discard)

        loop.add_reader(desk, asked)

    async def ask(self, within_s: float) -> dict[int, bytes | None]:
        """Return what each of the others says, None for one that does not in that time."""
        others = [n for n in range(1, len(self._mailboxes) + 1) if n != self.number]
        said = await asyncio.gather(*(self._ask(n, within_s) for n in others))
        return dict(zip(others, said, strict=True))

    async def _ask(self, number: int, within_s: float) -> bytes | None:
        ours, theirs = socket.socketpair()
        with ours:
            ours.setblocking(False)
            with theirs:
                try:
                    door = self._mailboxes[number - 1].door
                    socket.send_fds(door, [b"?"], [theirs.fileno()])
                except OSError:  # it has not looked for long
                    return None
            try:
                async with asyncio.timeout(within_s):
                    return await _heard(ours)
            except OSError:  # TimeoutError is one
                return None


def _askers(desk: socket.socket) -> list[socket.socket]:
    """Return the sockets of all who have asked by now."""
    found: list[socket.socket] = []
    with contextlib.suppress(BlockingIOError):
        while True:
            _, descriptors, _, _ = socket.recv_fds(desk, 1, 1)
            for descriptor in descriptors:
                os.set_inheritable(descriptor, False)
                found.append(socket.socket(fileno=descriptor))
    return found


async def _say(asker: socket.socket, text: bytes) -> None:
    """Write an answer; who asked may have gone."""
    with asker, contextlib.suppress(OSError):
        asker.setblocking(False)
        await asyncio.get_running_loop().sock_sendall(asker, text)


async def _heard(ours: socket.socket) -> bytes | None:
    """Return all of an answer; None when there is none."""
    loop, parts = asyncio.get_running_loop(), []
    while part := await loop.sock_recv(ours, CHUNK_BYTES):
        parts.append(part)
    return b"".join(parts) or None
