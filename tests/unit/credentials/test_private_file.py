import os
from pathlib import Path

import pytest

from credentials.base import BrokerMisconfigured
from credentials.private_file import MAX_BYTES, read_private, stamp_of


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
