"""Private, whatever the umask and whoever made the file."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.stores.sqlite.files import create_private, sync_directory


@pytest.fixture(params=[0o000, 0o022, 0o077])
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    """Return the permission bits."""
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_file_is_private(path: Path, umask: None) -> None:
    """And empty."""
    create_private(path)
    assert (mode(path), path.read_bytes()) == (0o600, b"")


def test_a_file_that_is_there_is_narrowed_and_kept(path: Path) -> None:
    """Its bytes stay."""
    path.write_bytes(b"kept")
    path.chmod(0o666)
    create_private(path)
    assert (mode(path), path.read_bytes()) == (0o600, b"kept")


def test_only_directories_are_synced(path: Path) -> None:
    """Anything else is an error."""
    path.touch()
    sync_directory(path.parent)
    with pytest.raises(NotADirectoryError):
        sync_directory(path)
