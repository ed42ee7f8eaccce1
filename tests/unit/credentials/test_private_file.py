import os
from pathlib import Path

import pytest

from credentials.base import BrokerMisconfigured
from credentials.private_file import MAX_BYTES, read_private, stamp_of
from tests.harness.kubelet import FIRST, mount


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "api-key"
    path.write_bytes(b"precious-value")
    path.chmod(0o600)
    return path


def test_a_private_file_is_read_with_its_stamp(file: Path) -> None:
    """The content comes with what tells this state of the file from the next."""
    read = read_private(file)
    assert (read.content, read.stamp) == (b"precious-value", stamp_of(file.stat()))
    assert "precious" not in repr(read)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o601, 0o666])
def test_a_file_open_to_others_is_refused(file: Path, mode: int) -> None:
    """Any right of group or others is one too many."""
    file.chmod(mode)
    with pytest.raises(BrokerMisconfigured, match=r"^'api-key' is open to other users: chmod 600$"):
        read_private(file)


def test_a_file_of_another_user_is_refused(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its owner could read and change it."""
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(BrokerMisconfigured, match="belongs to another user: chown"):
        read_private(file)


def test_a_link_is_refused_unless_links_are_admitted(file: Path) -> None:
    """A link could be turned to another file of ours."""
    link = file.with_name("link")
    link.symlink_to(file)
    with pytest.raises(BrokerMisconfigured, match="'link' cannot be read"):
        read_private(link)
    assert read_private(link, links=True).content == b"precious-value"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """The text names the file, what is wrong, and the cure; not the whole path."""
    with pytest.raises(
        BrokerMisconfigured, match=r"'gone' cannot be read .No such file"
    ) as refused:
        read_private(tmp_path / "gone")
    assert str(tmp_path) not in str(refused.value)


def test_a_pipe_does_not_hang_the_reader(tmp_path: Path) -> None:
    """Only regular files are read."""
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(BrokerMisconfigured, match="'pipe' is not a regular file"):
        read_private(tmp_path / "pipe")


def test_a_large_file_is_no_secret(file: Path) -> None:
    """The cap itself is admitted, one byte more is not."""
    file.write_bytes(b"x" * MAX_BYTES)
    assert len(read_private(file).content) == MAX_BYTES
    file.write_bytes(b"x" * (MAX_BYTES + 1))
    with pytest.raises(BrokerMisconfigured, match="larger than 8192 bytes"):
        read_private(file)


def test_a_mounted_secret_is_read_when_links_are_admitted(tmp_path: Path) -> None:
    """Its link leads into the newest update; root's file, readable by our group."""
    mount(tmp_path / "secret", {"api-key": b"precious-value"})
    assert read_private(tmp_path / "secret" / "api-key", links=True).content == b"precious-value"
    with pytest.raises(BrokerMisconfigured, match="'api-key' cannot be read"):
        read_private(tmp_path / "secret" / "api-key")


def test_a_mounted_secret_that_is_a_link_is_refused(tmp_path: Path) -> None:
    """Inside the update no link is followed, wherever it leads."""
    place = mount(tmp_path / "secret", {"api-key": b"precious-value"})
    (place / FIRST / "api-key").unlink()
    (place / FIRST / "api-key").symlink_to("/etc/hostname")
    with pytest.raises(BrokerMisconfigured, match=r"'api-key' cannot be read .Too many levels"):
        read_private(place / "api-key", links=True)


def test_group_rights_are_for_mounts_only(file: Path) -> None:
    """The same mode on a file that somebody laid there is one right too many."""
    file.chmod(0o440)
    with pytest.raises(BrokerMisconfigured, match="'api-key' is open to other users"):
        read_private(file, links=True)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    """The text names the folder, not the whole path."""
    with pytest.raises(BrokerMisconfigured, match=r"^'gone' cannot be read .No such file") as told:
        read_private(tmp_path / "gone" / "api-key", links=True)
    assert str(tmp_path) not in str(told.value)
