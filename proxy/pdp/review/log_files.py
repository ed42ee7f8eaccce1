"""The files of the decision log: JSON lines, 0600, a new one when the last is full.

Each process writes its own. A file that is being written is locked (flock), so that no process
deletes another's when it clears away old ones.
"""

import contextlib
import fcntl
import gzip
import os
import stat
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from proxy.errors import PolicyInvalid
from proxy.pdp.review.record import DecisionRecord, parse_record

PREFIX = "decisions-"
SUFFIXES = (".jsonl", ".jsonl.gz")
MAX_LINE_BYTES = 8 * 1024 * 1024


class LogFiles:
    """Appends lines to the newest file of a directory, made with mode 0700 when it is missing.

    A file has at most `max_bytes`; of all files in the directory the `keep` newest stay. Nothing is
    opened before the first line.
    """

    def __init__(self, directory: Path, max_bytes: int, keep: int) -> None:
        self._directory = directory
        self._max_bytes = max_bytes
        self._keep = keep
        self._fd: int | None = None
        self._bytes = 0
        self._number = 0

    def write(self, lines: bytes) -> None:
        """Append whole lines. Raises OSError; the next lines then go to another file."""
        if self._fd is None or self._bytes + len(lines) > self._max_bytes:
            self.close()
            self._fd = self._open()
        try:
            rest = memoryview(lines)
            while rest:
                rest = rest[os.write(self._fd, rest) :]
        except OSError:
            self.close()
            raise
        self._bytes += len(lines)

    def close(self) -> None:
        """Close the file that is open."""
        fd, self._fd, self._bytes = self._fd, None, 0
        if fd is not None:
            os.close(fd)

    def _open(self) -> int:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._number += 1
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
        name = f"{PREFIX}{stamp}-{os.getpid()}-{self._number}.jsonl"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        self._clear()
        fd = os.open(self._directory / name, flags, 0o600)
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return fd

    def _clear(self) -> None:
        """Make room for one more file."""
        files = sorted(self._directory.glob(f"{PREFIX}*.jsonl"))
        for file in files[: max(0, len(files) + 1 - self._keep)]:
            if not _is_being_written(file):
                file.unlink(missing_ok=True)


def _is_being_written(file: Path) -> bool:
    try:
        # O_NONBLOCK: a pipe that took a file's place must not hang us.
        fd = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return True  # gone already, or a link, which is none of ours
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return True
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def read_log(path: Path) -> Iterator[DecisionRecord | None]:
    """Yield the records of a log, oldest file first; None for a line that is broken.

    `path` is one file or a directory of them, plain or gzip. Raises PolicyInvalid when there is
    none, or it cannot be read.
    """
    for line in (line for file in _files(path) for line in _lines(file)):
        try:
            yield parse_record(line)
        except (ValueError, RecursionError):
            yield None


def find_record(path: Path, decision_id: str) -> DecisionRecord | None:
    """Return the record of one decision, looking into the newest file first.

    A line begins with its id, so that no other is parsed. Raises PolicyInvalid as `read_log` does.
    """
    wanted = b'{"decision_id":"%b"' % decision_id.encode()
    for line in (line for file in reversed(_files(path)) for line in _lines(file)):
        with contextlib.suppress(ValueError, RecursionError):
            if line.startswith(wanted):
                return parse_record(line)
    return None


def _files(path: Path) -> list[Path]:
    """Return the files of a log, oldest first, none of them a link or a device.

    Raises PolicyInvalid when there is none.
    """
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    logs = [file for file in files if file.name.endswith(SUFFIXES)]
    odd = [file for file in logs if not stat.S_ISREG(file.lstat().st_mode)]
    if odd:
        raise PolicyInvalid(f"{odd[0].name}: not a regular file. Cure: name the file itself")
    if not logs:
        raise PolicyInvalid(f"{path.name}: no decision log. Cure: name a .jsonl file or its folder")
    return logs


def _lines(file: Path) -> Iterator[bytes]:
    """Yield the lines of a file, longer ones in pieces. Raises PolicyInvalid."""
    try:
        with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as lines:
            while line := lines.readline(MAX_LINE_BYTES):
                yield line
    except (OSError, EOFError, zlib.error) as error:
        raise PolicyInvalid(
            f"{file.name}: cannot be read ({type(error).__name__}). Cure: check the file"
        ) from None
