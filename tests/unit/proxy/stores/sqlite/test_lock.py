"""One process at a time."""

import fcntl
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from proxy.errors import StoreInUse
from proxy.stores.sqlite.lock import ExclusiveLock

HOLDER = """
import sys, pathlib
from proxy.stores.sqlite.lock import ExclusiveLock
with ExclusiveLock(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "detent.db.lock"


def test_a_second_holder_is_refused_with_the_cure(path: Path) -> None:
    """It is told which process has the ledger."""
    with (
        ExclusiveLock(path),
        pytest.raises(StoreInUse, match=rf"process {os.getpid()} .*stop that process"),
        ExclusiveLock(path),
    ):
        pass


def test_a_released_lock_can_be_taken_again(path: Path) -> None:
    """Also by the same object; the file stays."""
    lock = ExclusiveLock(path)
    for _ in range(2):
        with lock:
            pass
    lock.__exit__()
    assert path.exists()


def test_the_lock_file_is_private_and_not_inherited(path: Path) -> None:
    """Mode 0600, closed on exec, so that no child holds the ledger."""
    with ExclusiveLock(path) as lock:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert lock._descriptor is not None
        assert fcntl.fcntl(lock._descriptor, fcntl.F_GETFD) & fcntl.FD_CLOEXEC


def test_a_lock_file_that_is_a_link_is_refused(path: Path) -> None:
    """A link would lock, and write, somewhere else."""
    path.symlink_to(path.with_name("elsewhere"))
    with pytest.raises(OSError, match="symbolic links"), ExclusiveLock(path):
        pass


def test_a_killed_holder_lets_go(path: Path) -> None:
    """Another process holds it until kill -9."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == b"held\n"
            with pytest.raises(StoreInUse, match=f"process {holder.pid}"), ExclusiveLock(path):
                pass
        finally:
            holder.kill()
    with ExclusiveLock(path):
        pass
