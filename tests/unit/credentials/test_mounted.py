import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from credentials.base import BrokerMisconfigured
from credentials.mounted import check_mounted, mounted
from tests.harness.kubelet import FIRST, mount

LATER = "..2026_11_22_11_00_00.987654321"


@contextmanager
def opened(place: Path) -> Iterator[int | None]:
    directory = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with mounted(directory, place.name) as files:
            yield files
    finally:
        os.close(directory)


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    return mount(tmp_path / "volume", {"key": b"first", ".manifest": b"{}"})


def test_a_mount_gives_the_directory_of_its_newest_update(volume: Path) -> None:
    """Both names are read from one update."""
    mount(volume, {"key": b"second", ".manifest": b"{}"}, generation=LATER)
    with opened(volume) as files:
        assert files is not None
        assert os.path.samestat(os.fstat(files), (volume / LATER).stat())


def test_any_other_directory_is_none(tmp_path: Path) -> None:
    """Its files are read by the rules they always had."""
    (tmp_path / "key").write_bytes(b"")
    with opened(tmp_path) as files:
        assert files is None


def turned(to: str) -> Callable[[Path], None]:
    def spoil(volume: Path) -> None:
        (volume / "..data").unlink()
        (volume / "..data").symlink_to(to)

    return spoil


def real_data(volume: Path) -> None:
    (volume / "..data").unlink()
    (volume / "..data").mkdir()


def linked_update(volume: Path) -> None:
    """The update itself is a link to a directory elsewhere."""
    (volume / FIRST).rename(volume.parent / "elsewhere")
    (volume / FIRST).symlink_to(volume.parent / "elsewhere")


@pytest.mark.parametrize(
    "spoil",
    [
        *map(turned, ["/etc", "../elsewhere", "..", "..data", "data", f"./{FIRST}", f"{FIRST}/.."]),
        turned("..2026_11_22_12_00_00.000000000"),
        real_data,
        linked_update,
    ],
)
def test_data_that_leads_anywhere_else_is_refused(
    volume: Path, spoil: Callable[[Path], None]
) -> None:
    """Only a directory beside the link, by the name a kubelet gives, is gone to."""
    spoil(volume)
    with pytest.raises(BrokerMisconfigured, match=r"'volume' has a '\.\.data' that no"):
        opened(volume).__enter__()


def no_longer_sticky(volume: Path) -> None:
    volume.chmod(0o777)


def group_may_exchange(volume: Path) -> None:
    volume.chmod(0o775)


def update_open_to_group(volume: Path) -> None:
    (volume / FIRST).chmod(0o775)


def update_open_to_all(volume: Path) -> None:
    (volume / FIRST).chmod(0o757)


@pytest.mark.parametrize(
    "spoil", [no_longer_sticky, group_may_exchange, update_open_to_group, update_open_to_all]
)
def test_what_others_could_exchange_is_refused(volume: Path, spoil: Callable[[Path], None]) -> None:
    """Who may write to a directory without the sticky bit may rename what stands in it."""
    spoil(volume)
    with pytest.raises(BrokerMisconfigured, match="'volume' could be changed by other users"):
        opened(volume).__enter__()


def test_a_mount_that_is_another_user_s_is_refused(
    volume: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An agent of another uid can make a directory that looks like a mount."""
    stat_of = os.fstat

    def theirs(descriptor: int) -> os.stat_result:
        fields = list(stat_of(descriptor))
        fields[4] = os.geteuid() + 1
        return os.stat_result(fields)

    monkeypatch.setattr(os, "fstat", theirs)
    with pytest.raises(BrokerMisconfigured, match="could be changed by other users"):
        opened(volume).__enter__()


def laid_beside(volume: Path) -> None:
    (volume / "more").write_bytes(b"mine")


def link_elsewhere(volume: Path) -> None:
    (volume / "more").symlink_to("/etc/passwd")


def link_by_another_name(volume: Path) -> None:
    (volume / "more").symlink_to("..data/key")


@pytest.mark.parametrize("spoil", [laid_beside, link_elsewhere, link_by_another_name])
def test_what_is_no_part_of_the_mount_is_refused(
    volume: Path, spoil: Callable[[Path], None]
) -> None:
    """It would be seen by other programs and left out by this one."""
    spoil(volume)
    with pytest.raises(BrokerMisconfigured, match="'more' is no part of the mount 'volume'"):
        opened(volume).__enter__()


def status(mode: int, uid: int, gid: int) -> os.stat_result:
    return os.stat_result((0o100000 | mode, 0, 0, 1, uid, gid, 0, 0, 0, 0))


@pytest.mark.parametrize("mode", [0o400, 0o440, 0o600, 0o640])
@pytest.mark.parametrize("uid", [0, os.geteuid()])
def test_a_secret_of_root_and_our_group_is_admitted(mode: int, uid: int) -> None:
    """What defaultMode and fsGroup make, and what the kubelet makes of a projected token."""
    check_mounted(status(mode, uid, os.getegid()), "key")


@pytest.mark.parametrize("mode", [0o444, 0o404, 0o460, 0o450, 0o402, 0o401, 0o644, 0o777])
def test_a_secret_open_to_others_is_refused(mode: int) -> None:
    """The volume's own default, 0644, is one of them."""
    with pytest.raises(BrokerMisconfigured, match="'key' is open to other users: mount with"):
        check_mounted(status(mode, 0, os.getegid()), "key")


def test_a_secret_of_a_group_we_are_not_in_is_refused() -> None:
    """We could not read it either, unless we are its owner or root."""
    stranger = max(os.getegid(), *os.getgroups(), 1) + 1
    check_mounted(status(0o400, 0, stranger), "key")
    with pytest.raises(BrokerMisconfigured, match="a group we are not in: set fsGroup"):
        check_mounted(status(0o440, 0, stranger), "key")


def test_a_secret_of_another_user_is_refused() -> None:
    """Its owner can change it."""
    with pytest.raises(BrokerMisconfigured, match="'key' belongs to another user"):
        check_mounted(status(0o400, os.geteuid() + 1, os.getegid()), "key")
