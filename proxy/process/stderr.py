"""What a child writes to stderr, as log lines: bounded in length and in number a second."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable

MAX_LINE_CHARS = 1000
MAX_LINES_PER_S = 50
KEPT_LINES = 10
CHUNK_BYTES = 4096

log = logging.getLogger(__name__)


class StderrLog:
    """Logs the lines of one child; what is too much is counted. `last` are the newest lines."""

    def __init__(self, name: str, now: Callable[[], float] = time.monotonic) -> None:
        self._name = name
        self._now = now
        self.last = deque[str](maxlen=KEPT_LINES)
        self._second = 0
        self._lines = 0

    async def follow(self, stderr: asyncio.StreamReader) -> None:
        """Read to the end."""
        rest = b""
        while chunk := await stderr.read(CHUNK_BYTES):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                self._log(line)
            if len(rest) > MAX_LINE_CHARS:
                self._log(rest)
                rest = b""
        if rest:
            self._log(rest)

    def _log(self, line: bytes) -> None:
        text = _printable(line)
        self.last.append(text)
        second = int(self._now())
        if second != self._second:
            if (dropped := self._lines - MAX_LINES_PER_S) > 0:
                log.warning("%s: %d lines of stderr dropped", self._name, dropped)
            self._second, self._lines = second, 0
        self._lines += 1
        if self._lines <= MAX_LINES_PER_S:
            log.info("%s: %s", self._name, text)


def _printable(line: bytes) -> str:
    """Return one line that no control character breaks or colours."""
    text = line[:MAX_LINE_CHARS].decode("utf-8", "backslashreplace")
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
