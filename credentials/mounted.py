"""Directories as the kubelet mounts Secrets, ConfigMaps and projected tokens, and no other links.

    ..2026_11_22_10_00_00.123456789/name         the files; a directory of its own for each update
    ..data -> ..2026_11_22_10_00_00.123456789    turned to the newest update at once
    name -> ..data/name                          what programs open

`..data` is the only link that is gone by, and only to a directory beside it: root's or ours, which
nobody else can write to. The files are read there, without following any link, so a reader sees
one update whole and nothing from outside.
"""

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from credentials.base import BrokerMisconfigured

_DATA = "..data"
_GENERATION = re.compile(r"\.\.[0-9][0-9_.]{7,62}")
_ROOT_UID = 0
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_NEVER = stat.S_IWGRP | stat.S_IXGRP | stat.S_IRWXO
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@contextmanager
def mounted(directory: int, name: str) -> Iterator[int | None]:
    """Give the descriptor of the directory that holds the files, None when this is no such mount.

    `directory` is an open directory, `name` what refusals call it. Raises BrokerMisconfigured when
    it looks like a mount and is not exactly one.
    """
    target = _target(directory, name)
    if target is None:
        yield None
        return
    files = _open(directory, target, name)
    try:
        _check_owned(directory, files, name)
        _check_links(directory, name)
        yield files
    finally:
        os.close(files)


def check_mounted(status: os.stat_result, name: str) -> None:
    """Refuse a mounted secret that others than root, our user and our groups can reach.

    Raises BrokerMisconfigured.
    """
    if status.st_uid not in (_ROOT_UID, os.geteuid()):
        raise BrokerMisconfigured(f"{name!r} belongs to another user: mount the Secret itself")
    if stat.S_IMODE(status.st_mode) & _NEVER:
        raise BrokerMisconfigured(f"{name!r} is open to other users: mount with defaultMode 0440")
    ours = status.st_gid in (os.getegid(), *os.getgroups())
    if status.st_mode & stat.S_IRGRP and not ours:
        raise BrokerMisconfigured(f"{name!r} is open to a group we are not in: set fsGroup")


def _target(directory: int, name: str) -> str | None:
    try:
        target = os.readlink(_DATA, dir_fd=directory)
    except FileNotFoundError:
        return None
    except OSError:
        raise _no_mount(name) from None
    if _GENERATION.fullmatch(target) is None:
        raise _no_mount(name)
    return target


def _open(directory: int, target: str, name: str) -> int:
    try:
        return os.open(target, _DIRECTORY, dir_fd=directory)
    except OSError:
        raise _no_mount(name) from None


def _check_owned(directory: int, files: int, name: str) -> None:
    """Nobody else could have put a link, a directory or a file into another's place.

    The kubelet makes the mount itself writable for all and sticky (01777): what stands there can be
    added to, but not exchanged.
    """
    top, link, inside = (
        os.fstat(directory),
        os.stat(_DATA, dir_fd=directory, follow_symlinks=False),
        os.fstat(files),
    )
    trusted = all(one.st_uid in (_ROOT_UID, os.geteuid()) for one in (top, link, inside))
    exchangeable = top.st_mode & _OTHERS_WRITE and not top.st_mode & stat.S_ISVTX
    if not trusted or exchangeable or inside.st_mode & _OTHERS_WRITE:
        raise BrokerMisconfigured(
            f"{name!r} could be changed by other users: mount the volume itself, read-only"
        )


def _check_links(directory: int, name: str) -> None:
    """Everything a program can see there is a link into the update; nothing was laid beside it."""
    for entry in os.listdir(directory):
        if entry.startswith(".."):
            continue
        try:
            target = os.readlink(entry, dir_fd=directory)
        except OSError:
            target = ""
        if target != f"{_DATA}/{entry}":
            raise BrokerMisconfigured(f"{entry!r} is no part of the mount {name!r}: take it out")


def _no_mount(name: str) -> BrokerMisconfigured:
    return BrokerMisconfigured(
        f"{name!r} has a {_DATA!r} that no kubelet made: put the files themselves there"
    )
