import os
import stat
from pathlib import Path

import pytest

from proxy.pdp.delivery.kept import KeptFile


def test_what_is_kept_is_there_after_a_restart(tmp_path: Path) -> None:
    """In a directory that nobody else may enter, and nothing lies beside it."""
    state = tmp_path / "var" / "policy"
    assert KeptFile(state, "a", 10).write(b"one")
    assert KeptFile(state, "a", 10).write(b"two")
    assert KeptFile(state, "a", 10).read() == b"two"
    assert [file.name for file in state.iterdir()] == ["a"]
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    assert stat.S_IMODE((state / "a").stat().st_mode) == 0o600


def test_what_is_kept_is_durable_with_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The directory is synced after the file has its place."""
    synced: list[tuple[bool, bool]] = []

    def sync(number: int) -> None:
        is_directory = stat.S_ISDIR(os.fstat(number).st_mode)
        synced.append((is_directory, (tmp_path / "a").exists()))

    monkeypatch.setattr(os, "fsync", sync)
    assert KeptFile(tmp_path, "a", 10).write(b"one")
    assert synced == [(False, False), (True, True)]


def test_nothing_kept_is_nothing(tmp_path: Path) -> None:
    """A missing file, one that is too large, one that is no file."""
    kept = KeptFile(tmp_path, "a", 2)
    assert (kept.read(), kept.stamp()) == (b"", ())
    assert kept.write(b"three")
    assert kept.read() == b""
    kept.remove()
    (tmp_path / "a").mkdir()
    assert kept.read() == b""


def test_a_disk_that_takes_nothing_is_no_failure(tmp_path: Path) -> None:
    """It is said, and what was there stays."""
    (tmp_path / "file").write_text("")
    kept = KeptFile(tmp_path / "file", "a", 10)
    assert not kept.write(b"one")
    kept.remove()
    assert kept.read() == b""


def test_every_change_has_another_stamp(tmp_path: Path) -> None:
    """Other processes see by it that something is new."""
    kept = KeptFile(tmp_path, "a", 10)
    stamps = [kept.stamp()]
    for content in (b"one", b"two"):
        kept.write(content)
        stamps.append(kept.stamp())
    kept.remove()
    assert len(set(stamps)) == 3
    assert kept.stamp() == ()
