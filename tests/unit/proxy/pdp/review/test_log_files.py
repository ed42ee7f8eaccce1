"""The files of the log: private, bounded, read back in order."""

import fcntl
import gzip
import os
import stat
from pathlib import Path

import pytest

from proxy.errors import PolicyInvalid
from proxy.pdp.review import log_files as subject
from proxy.pdp.review.log_files import LogFiles, find_record, read_log
from proxy.pdp.review.record import DecisionRecord, parse_record


def line(number: int) -> bytes:
    """Return a record of about 200 bytes."""
    return DecisionRecord(f"dec_{number}", "t", "acme", "e", {}, {}, "r").to_line()


def names(directory: Path) -> list[str]:
    return sorted(file.name for file in directory.iterdir())


def test_only_the_owner_reads_the_log(tmp_path: Path) -> None:
    """Directory 0700, file 0600; nothing is made before the first line."""
    directory = tmp_path / "a" / "log"
    files = LogFiles(directory, 10_000, 2)
    assert not directory.exists()
    files.write(line(1))
    files.close()
    (file,) = directory.iterdir()
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_full_file_is_followed_by_another_and_old_ones_go(tmp_path: Path) -> None:
    """The newest stay, in order."""
    files = LogFiles(tmp_path, len(line(1)) * 2, 3)
    for number in range(9):
        files.write(line(number))
    files.close()
    kept = [record.decision_id for record in read_log(tmp_path) if record]
    assert len(names(tmp_path)) == 3
    assert kept == [f"dec_{number}" for number in range(4, 9)]


def test_a_file_that_another_process_writes_is_left(tmp_path: Path) -> None:
    """However old it is."""
    (tmp_path / "decisions-0-other.jsonl").write_bytes(line(0))
    (tmp_path / "decisions-1-gone.jsonl").write_bytes(line(1))
    fd = os.open(tmp_path / "decisions-0-other.jsonl", os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX)
    files = LogFiles(tmp_path, 10_000, 1)
    files.write(line(2))
    files.close()
    os.close(fd)
    assert "decisions-0-other.jsonl" in names(tmp_path)
    assert "decisions-1-gone.jsonl" not in names(tmp_path)


def test_after_a_failure_another_file_is_begun(tmp_path: Path) -> None:
    """Half a line spoils one line only."""
    files = LogFiles(tmp_path, 10_000, 9)
    files.write(line(1))
    assert files._fd is not None
    os.close(files._fd)
    files._fd = os.open("/dev/full", os.O_WRONLY)
    with pytest.raises(OSError, match="space"):
        files.write(line(2))
    files.write(line(3))
    files.close()
    assert [record and record.decision_id for record in read_log(tmp_path)] == ["dec_1", "dec_3"]


def test_a_broken_line_is_told_and_the_rest_read(tmp_path: Path) -> None:
    """In a file that is named itself, packed or not."""
    content = line(1) + b'{"half\n' + line(2)
    plain, packed = tmp_path / "a.jsonl", tmp_path / "a.jsonl.gz"
    plain.write_bytes(content)
    packed.write_bytes(gzip.compress(content))
    for file in (plain, packed):
        assert [record and record.decision_id for record in read_log(file)] == [
            "dec_1",
            None,
            "dec_2",
        ]


@pytest.mark.parametrize("content", [b"not gzip", gzip.compress(b"x" * 99, mtime=0)[:-9]])
def test_what_cannot_be_read_is_refused(tmp_path: Path, content: bytes) -> None:
    """And so is a directory without a log."""
    with pytest.raises(PolicyInvalid, match="no decision log"):
        list(read_log(tmp_path))
    (tmp_path / "a.jsonl.gz").write_bytes(content)
    with pytest.raises(PolicyInvalid, match="cannot be read"):
        list(read_log(tmp_path))


def test_what_is_no_file_of_ours_is_left(tmp_path: Path) -> None:
    """A link leads nowhere we delete."""
    (tmp_path / "decisions-0.jsonl").symlink_to("gone")
    files = LogFiles(tmp_path, 10_000, 1)
    files.write(line(1))
    files.close()
    assert names(tmp_path)[0] == "decisions-0.jsonl"


def test_a_pipe_in_place_of_a_file_holds_nothing_up(tmp_path: Path) -> None:
    """It is no log, and is left."""
    os.mkfifo(tmp_path / "decisions-0.jsonl")
    files = LogFiles(tmp_path, 10_000, 1)
    files.write(line(1))
    files.close()
    assert names(tmp_path)[0] == "decisions-0.jsonl"


def test_one_record_is_found_by_its_id(tmp_path: Path) -> None:
    """Not by a part of it, nor by what stands elsewhere in a line."""
    other = DecisionRecord("dec_2", "t", "acme", "e", {"about": '{"decision_id":"dec_1"'}, {}, "r")
    (tmp_path / "a.jsonl").write_bytes(line(1) + other.to_line())
    found = [find_record(tmp_path, wanted) for wanted in ("dec_1", "dec_2", "dec_", "dec_3")]
    assert [record and record.decision_id for record in found] == ["dec_1", "dec_2", None, None]


def test_only_the_line_of_the_record_is_parsed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A log may have gigabytes."""
    parsed: list[bytes] = []

    def parsing(line: bytes) -> DecisionRecord:
        parsed.append(line)
        return parse_record(line)

    monkeypatch.setattr(subject, "parse_record", parsing)
    (tmp_path / "a.jsonl").write_bytes(b"".join(map(line, range(20, 40))) + line(2))
    assert find_record(tmp_path, "dec_2") is not None
    assert parsed == [line(2)]


@pytest.mark.parametrize("target", ["/dev/zero", "/etc/hostname"])
def test_a_link_in_a_log_is_not_followed(tmp_path: Path, target: str) -> None:
    """A branch under review may hold one, to what has no end or is not its own."""
    (tmp_path / "decisions-1.jsonl").symlink_to(target)
    with pytest.raises(PolicyInvalid, match="not a regular file"):
        list(read_log(tmp_path))
