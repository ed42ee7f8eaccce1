"""One process at a time: an advisory lock beside the database."""

import fcntl
import os
from pathlib import Path
from typing import Self

from proxy.errors import StoreInUse


class ExclusiveLock:
    """flock(2) on `<database>.lock`, mode 0600, closed on exec, gone with the process.

    The file stays when the lock is released: removing it would let two processes lock two files.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def __enter__(self) -> Self:
        """Take the lock without waiting. Raises StoreInUse, OSError."""
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(self._path, flags, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(descriptor)
            raise StoreInUse(
                f"The ledger is in use by process {holder} ({self._path}); "
                "stop that process or give this one its own `store`."
            ) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._descriptor = descriptor
        return self

    def __exit__(self, *_error: object) -> None:
        """Let go."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
