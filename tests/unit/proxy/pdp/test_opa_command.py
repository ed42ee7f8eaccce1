"""Running `opa` once."""

import os
from pathlib import Path

import pytest

from proxy.errors import PolicyInvalid
from proxy.pdp.opa_command import run_opa


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A stand-in whose script a test writes."""
    file = tmp_path / "opa"
    file.write_text(
        "#!/bin/sh\necho \"$*|$PWD|$(env | cut -d= -f1 | sort | tr '\\n' ',')\"\nexit 3\n"
    )
    file.chmod(0o700)
    return file


def test_the_command_runs_in_the_directory_without_our_environment(
    program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of DETENT_* and nothing that would set OPA's own flags reaches it."""
    monkeypatch.setenv("DETENT_SECRET", "x")
    monkeypatch.setenv("OPA_CHECK_STRICT", "false")
    done = run_opa(program, tmp_path, ("check", "--strict"), 5.0)
    arguments, place, names = done.stdout.decode().strip().split("|")
    assert (arguments, place) == ("check --strict .", str(tmp_path))
    assert "DETENT" not in names
    assert "OPA" not in names
    assert done.returncode == 3


def test_a_relative_path_is_ours_and_not_the_directorys(
    program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`./opa` of a bundle is never run."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(tmp_path)
    assert run_opa(Path("opa"), elsewhere, ("check",), 5.0).returncode == 3


def test_a_command_that_is_missing_is_told(tmp_path: Path) -> None:
    """With its cure."""
    with pytest.raises(PolicyInvalid, match=r"opa: cannot be run .*Cure: set policy\.opa"):
        run_opa(tmp_path / "opa", tmp_path, ("check",), 5.0)


def test_a_command_that_hangs_is_ended(program: Path, tmp_path: Path) -> None:
    """Time is bounded."""
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    with pytest.raises(PolicyInvalid, match=r"opa check took more than 0\.2 s"):
        run_opa(program, tmp_path, ("check",), 0.2)
    assert not _sleepers_of(os.getpid())


def _sleepers_of(parent: int) -> list[str]:
    """Return this process's children that still sleep."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    names = [Path(f"/proc/{child}/comm") for child in children]
    return [name.read_text() for name in names if name.exists() and "sleep" in name.read_text()]


def test_the_target_is_the_directory_unless_it_is_named(program: Path, tmp_path: Path) -> None:
    """It comes last."""
    for target, arguments in (((), "build ."), (("a.tar.gz",), "build a.tar.gz")):
        done = run_opa(program, tmp_path, ("build",), 5.0, *target)
        assert done.stdout.decode().startswith(f"{arguments}|")
