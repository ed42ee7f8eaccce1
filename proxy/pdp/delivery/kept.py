"""Bundles kept on disk across restarts: each one file, replaced at once."""

import contextlib
import logging
import os
import tempfile
from pathlib import Path

log = logging.getLogger(__name__)

LAST_GOOD = "last-good.tar.gz"


class KeptFile:
    """One file in a directory of our own (0700, made when it is missing).

    A disk that does not take it costs the next start its last good bundle, and nothing now.
    """

    def __init__(self, directory: Path, name: str, max_bytes: int) -> None:
        self._directory = directory
        self._path = directory / name
        self._max_bytes = max_bytes

    def read(self) -> bytes:
        """Return its content; nothing when there is none that can be read."""
        try:
            with self._path.open("rb") as file:
                content = file.read(self._max_bytes + 1)
        except FileNotFoundError:
            return b""
        except OSError as error:
            log.error("%s cannot be read: %s", self._path.name, error.strerror)
            return b""
        return content if len(content) <= self._max_bytes else b""

    def stamp(self) -> tuple[int, ...]:
        """Return what changes whenever the file does."""
        try:
            status = self._path.stat()
        except OSError:
            return ()
        return (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)

    def write(self, content: bytes) -> bool:
        """Keep it durably; return whether it is kept."""
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._replace(content)
        except OSError as error:
            log.error("%s cannot be kept: %s", self._path.name, error.strerror)
            return False
        return True

    def remove(self) -> None:
        """Keep nothing."""
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)

    def _sync(self) -> None:
        """Make the file's new name durable too."""
        directory = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def _replace(self, content: bytes) -> None:
        number, partial = tempfile.mkstemp(prefix=".kept-", dir=self._directory)
        try:
            with os.fdopen(number, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            Path(partial).replace(self._path)
            self._sync()
        finally:
            Path(partial).unlink(missing_ok=True)
