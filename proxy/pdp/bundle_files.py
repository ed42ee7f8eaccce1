"""Reading what a bundle holds, and nothing else, from a directory others may write to.

A ConfigMap that the kubelet mounts is read at its newest update, whole (credentials.mounted).
"""

import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from credentials.base import BrokerMisconfigured
from credentials.mounted import mounted
from proxy.errors import PolicyInvalid

MANIFEST = ".manifest"
MAX_FILES = 2000
MAX_FILE_BYTES = 4 * 1024 * 1024
MAX_TOTAL_BYTES = 32 * 1024 * 1024

_DATA = frozenset({"data.json", "data.yaml"})
_TEST_SUFFIX = "_test.rego"
_TEST_PACKAGE = re.compile(rb"^package\s+[\w.]+_test\s*$", re.MULTILINE)


def belongs(path: str) -> bool:
    """Whether a file of that relative path goes into a bundle."""
    *folders, name = path.split("/")
    if any(folder.startswith(".") for folder in folders) or name.endswith(_TEST_SUFFIX):
        return False
    return path == MANIFEST or name in _DATA or (name.endswith(".rego") and name[0] != ".")


def read_bundle(source: Path, wanted: Callable[[str], bool] = belongs) -> dict[str, bytes]:
    """Return the bundle's files by relative path: policies without their tests, data, manifest.

    `wanted` tells of a relative path whether its file is one of them. No link is followed below
    `source`, but the kubelet's own. Raises PolicyInvalid.
    """
    files: dict[str, bytes] = {}
    total_bytes = 0
    try:
        for path, content in _members(source, wanted):
            total_bytes += len(content)
            files[path] = content
            if len(files) > MAX_FILES or total_bytes > MAX_TOTAL_BYTES:
                raise PolicyInvalid(
                    f"{path}: more than {MAX_FILES} files or {MAX_TOTAL_BYTES} bytes. "
                    "Cure: point policy.bundle at the policies only"
                )
    except OSError as error:
        raise PolicyInvalid(
            f"{error.filename or source.name}: cannot be read ({error.strerror}). "
            "Cure: check path and permissions"
        ) from None
    return {path: content for path, content in files.items() if not _is_test(path, content)}


def _members(source: Path, wanted: Callable[[str], bool]) -> Iterator[tuple[str, bytes]]:
    if not source.is_dir():
        raise PolicyInvalid(f"{source.name}: not a directory. Cure: check policy.bundle")
    with _top(source) as top:
        yield from _below(top, wanted)


@contextmanager
def _top(source: Path) -> Iterator[int]:
    """Open the directory that holds the files: the source itself, or the newest update of a mount.

    Raises PolicyInvalid.
    """
    directory = os.open(source, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with mounted(directory, source.name) as files:
            yield directory if files is None else files
    except BrokerMisconfigured as error:
        problem, _, cure = str(error).partition(": ")
        raise PolicyInvalid(f"{problem}. Cure: {cure}") from None
    finally:
        os.close(directory)


def _below(top: int, wanted: Callable[[str], bool]) -> Iterator[tuple[str, bytes]]:
    for place, folders, names, place_fd in os.fwalk(".", onerror=_raise, dir_fd=top):
        relative = Path(place)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in (*folders, *sorted(names)):
            mode = os.stat(name, dir_fd=place_fd, follow_symlinks=False).st_mode
            path = (relative / name).as_posix()
            if stat.S_ISLNK(mode) and not name.startswith("."):
                raise PolicyInvalid(f"{path}: a symbolic link. Cure: put the file itself there")
            if name == "data.yml":
                raise PolicyInvalid(f"{path}: would be left out. Cure: name it data.yaml")
            if not stat.S_ISDIR(mode) and (wanted(path) or name.endswith(_TEST_SUFFIX)):
                yield path, _read(name, place_fd, path)


def _read(name: str, place_fd: int, path: str) -> bytes:
    # O_NONBLOCK: a pipe that took a file's place must not hang us.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with os.fdopen(os.open(name, flags, dir_fd=place_fd), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise PolicyInvalid(f"{path}: not a regular file. Cure: remove it")
        content = file.read(MAX_FILE_BYTES + 1)
    if len(content) > MAX_FILE_BYTES:
        raise PolicyInvalid(f"{path}: more than {MAX_FILE_BYTES} bytes. Cure: split it")
    return content


def _is_test(path: str, content: bytes) -> bool:
    """Whether a file is left out as a test; one that only looks like it must not vanish."""
    if not path.endswith(_TEST_SUFFIX):
        return False
    if not _TEST_PACKAGE.search(content):
        raise PolicyInvalid(
            f"{path}: named like a test, but its package does not end in `_test`, so its rules "
            "would be left out. Cure: rename the file or the package"
        )
    return True


def _raise(error: OSError) -> None:
    raise error
