"""Where Spin comes from: PATH, else Debian's package unpacked beside the checkout's tools."""

from pathlib import Path

import pytest

from tests.model.spin import NotInstalled, fetch_spin, find_compiler, find_spin, main


def program(place: Path, does: str = "") -> Path:
    """Write a program of a few shell words."""
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(f"#!/bin/sh\n{does}\n")
    place.chmod(0o755)
    return place


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only directory on PATH, empty."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return tmp_path / "bin"


def test_what_is_missing_is_said_with_its_cure(path: Path, tmp_path: Path) -> None:
    """Nobody has to look up the name of the package."""
    with pytest.raises(NotInstalled, match="Debian package `spin`"):
        find_spin(tmp_path / "tools")
    with pytest.raises(NotInstalled, match="install `gcc`"):
        find_compiler()


def test_spin_on_the_path_comes_first(path: Path, tmp_path: Path) -> None:
    """What the machine has is not shadowed."""
    own = program(tmp_path / "tools/usr/bin/spin")
    assert find_spin(tmp_path / "tools") == str(own)
    installed = program(path / "spin")
    assert find_spin(tmp_path / "tools") == str(installed)


def test_the_package_is_unpacked_and_not_installed(path: Path, tmp_path: Path) -> None:
    """No root is needed: downloaded by apt-get, unpacked by dpkg."""
    program(path / "apt-get", "[ $1 = download ] && : > spin_6.deb")
    unpack = "PATH=/bin:/usr/bin; mkdir -p usr/bin; cp $0 usr/bin/spin"
    program(path / "dpkg", f"[ $1 = -x ] && [ $2 = spin_6.deb ] && {{ {unpack}; }}")
    assert fetch_spin(tmp_path / "tools") == str(tmp_path / "tools/usr/bin/spin")


def test_a_download_that_fails_is_spin_not_installed(path: Path, tmp_path: Path) -> None:
    """Without a network the cure is told as without apt-get."""
    program(path / "apt-get", "exit 100")
    program(path / "dpkg", "exit 2")
    with pytest.raises(NotInstalled):
        fetch_spin(tmp_path / "tools")


def test_without_apt_nothing_is_tried(path: Path, tmp_path: Path) -> None:
    """Other systems have other packages."""
    with pytest.raises(NotInstalled):
        fetch_spin(tmp_path / "tools")
    assert not (tmp_path / "tools").exists()


def test_the_command_says_where_it_is(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Make has only to look at the exit code."""
    installed = program(path / "spin")
    assert main() == 0
    assert capsys.readouterr().out == f"{installed}\n"
