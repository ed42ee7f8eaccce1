"""Files that hold secrets: read only when nobody else could have read or written them."""

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from credentials.base import BrokerMisconfigured
from credentials.mounted import check_mounted, mounted

MAX_BYTES = 8192
_OTHERS = 0o077

Check = Callable[[os.stat_result, str], None]


@dataclass(frozen=True, slots=True)
class PrivateFile:
    """A secret file's content, and the stamp that changes whenever the file does."""

    stamp: tuple[int, ...]
    content: bytes = field(repr=False)


def stamp_of(status: os.stat_result) -> tuple[int, ...]:
    """Tell one state of a file from the next: identity, size, times, mode, owner."""
    return (
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
        status.st_mode,
        status.st_uid,
    )


def check_private(status: os.stat_result, name: str, mode: str) -> None:
    """Refuse what another user owns or can reach; `mode` is the chmod that cures it.

    Raises BrokerMisconfigured.
    """
    if status.st_uid != os.geteuid():
        raise BrokerMisconfigured(f"{name!r} belongs to another user: chown it to Detent's user")
    if stat.S_IMODE(status.st_mode) & _OTHERS:
        raise BrokerMisconfigured(f"{name!r} is open to other users: chmod {mode}")


def read_private(
    path: str | Path, *, dir_fd: int | None = None, links: bool = False
) -> PrivateFile:
    """Read a regular file of at most 8 KiB, mode 0600 or tighter, owned by this process's user.

    The checks are made on the opened file, so it cannot be exchanged between check and read.
    `links` admits symbolic links, and files of a volume as the kubelet mounts it: root's, and
    readable by a group of ours (credentials.mounted). Raises BrokerMisconfigured, naming the file
    and the cure.
    """
    if not links:
        return _read(path, dir_fd, os.O_NOFOLLOW, _check_own)
    path = Path(path)
    with _folder(path.parent) as folder, mounted(folder, path.parent.name) as files:
        if files is None:
            return _read(path, None, 0, _check_own)
        return read_mounted(path.name, files)


def read_mounted(name: str, files: int) -> PrivateFile:
    """Read a file of the directory that `credentials.mounted.mounted` gave.

    Raises BrokerMisconfigured.
    """
    return _read(name, files, os.O_NOFOLLOW, check_mounted)


@contextmanager
def _folder(path: Path) -> Iterator[int]:
    try:
        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as failure:
        why = os.strerror(failure.errno or 0)
        raise BrokerMisconfigured(f"{path.name!r} cannot be read ({why}): check the path") from None
    try:
        yield folder
    finally:
        os.close(folder)


def _check_own(status: os.stat_result, name: str) -> None:
    check_private(status, name, "600")


def _read(path: str | Path, dir_fd: int | None, link_flag: int, check: Check) -> PrivateFile:
    name = Path(path).name
    # O_NONBLOCK: a FIFO in the file's place must not hang the open.
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | link_flag
    try:
        descriptor = os.open(path, flags, dir_fd=dir_fd)
    except OSError as failure:
        why = os.strerror(failure.errno or 0)
        cure = "put the file itself there, no link, readable by Detent's user"
        raise BrokerMisconfigured(f"{name!r} cannot be read ({why}): {cure}") from None
    with os.fdopen(descriptor, "rb") as opened:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise BrokerMisconfigured(f"{name!r} is not a regular file: put the file itself there")
        check(status, name)
        content = opened.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise BrokerMisconfigured(f"{name!r} is larger than {MAX_BYTES} bytes: it is no secret")
    return PrivateFile(stamp_of(status), content)
