"""Files that only this user reads, and that are there after a power cut."""

import os
from pathlib import Path


def create_private(path: Path) -> None:
    """Create a file, or narrow the one there is, to mode 0600. Raises OSError.

    SQLite gives the files it makes beside a database the database's mode. Not for a database that
    is open: closing any descriptor of it drops the locks SQLite holds (POSIX fcntl).
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    os.fchmod(descriptor, 0o600)
    os.close(descriptor)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make new and renamed names in a directory durable. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
