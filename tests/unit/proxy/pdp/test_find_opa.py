"""Finding OPA: which one is taken, and what people read when there is none."""

import stat
from pathlib import Path

import pytest

from proxy.errors import ConfigError
from proxy.pdp import find_opa as unit
from proxy.pdp.find_opa import OPA_VERSION, Opa, ensure_opa, find_opa, main


def script(directory: Path, text: str, name: str = "opa") -> Path:
    """Write a program that prints a text."""
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / name
    file.write_text(f"#!/bin/sh\necho '{text}'\n")
    file.chmod(stat.S_IRWXU)
    return file


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a tools directory without OPA, and no OPA and no Go on the PATH."""
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    return tmp_path / "tools"


def test_the_real_one_is_found() -> None:
    """A checkout after `make setup`, or a host with OPA, has one."""
    assert find_opa().version >= unit.OPA_MINIMUM


def test_an_explicit_path_is_the_only_candidate(tmp_path: Path, nowhere: Path) -> None:
    """Whoever names a binary gets that one or an error."""
    script(tmp_path / "path", "Version: 1.22.2")
    old = script(tmp_path, "Version: 1.21.2", "old")
    with pytest.raises(ConfigError, match=r"old is version 1\.21\.2, at least 1\.21\.3 is needed"):
        find_opa(old)


@pytest.mark.parametrize(
    ("text", "version"),
    [("Version: 1.21.3", (1, 21, 3)), ("Version: 2.0.0", (2, 0, 0))],
)
def test_a_version_is_compared_as_numbers(
    tmp_path: Path, nowhere: Path, text: str, version: tuple[int, int, int]
) -> None:
    """The oldest that will do, and newer ones."""
    file = script(tmp_path / "path", text)
    assert find_opa(tools_dir=nowhere) == Opa(file, version)


def test_the_tools_directory_follows_the_path(tmp_path: Path, nowhere: Path) -> None:
    """An OPA on the PATH that is too old does not hide the one in the checkout."""
    script(tmp_path / "path", "Version: 0.70.0")
    file = script(nowhere, f"Version: {OPA_VERSION}")
    assert find_opa(tools_dir=nowhere).path == file


@pytest.mark.parametrize("text", ["", "Version: one", "opa 1.22.2", "Version: 1.22"])
def test_what_does_not_tell_its_version_is_not_opa(nowhere: Path, text: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(ConfigError, match="not a working OPA; run `make setup`"):
        find_opa(script(nowhere, text))


def test_what_does_not_run_is_not_opa(tmp_path: Path) -> None:
    """A path to nothing is an error with the cure."""
    with pytest.raises(ConfigError, match="not a working OPA"):
        find_opa(tmp_path / "missing")


def test_nothing_anywhere_is_one_problem_with_its_cure(nowhere: Path) -> None:
    """The error names where was looked and what to do."""
    with pytest.raises(ConfigError, match=r"no opa >= 1\.21\.3 on the PATH or in") as refusal:
        find_opa(tools_dir=nowhere)
    assert len(refusal.value.problems) == 1
    assert "make setup" in refusal.value.problems[0]


def test_without_go_there_is_nothing_to_build_with(nowhere: Path) -> None:
    """The error is that there is no OPA."""
    with pytest.raises(ConfigError, match="no opa >="):
        ensure_opa(nowhere)


def test_go_builds_the_tested_version_into_the_tools_directory(
    tmp_path: Path, nowhere: Path
) -> None:
    """`go install` gets the pinned version and the place."""
    go = script(tmp_path / "path", "", "go")
    go.write_text(
        '#!/bin/sh\n[ "$1 $2" = "install github.com/open-policy-agent/opa@v'
        f'{OPA_VERSION}" ] || exit 1\n'
        f"printf '#!/bin/sh\\necho Version: {OPA_VERSION}\\n' > $GOBIN/opa\n"
        "/bin/chmod +x $GOBIN/opa\n"
    )
    assert ensure_opa(nowhere).path == nowhere / "opa"


def test_a_failed_build_is_an_error_with_the_cure(tmp_path: Path, nowhere: Path) -> None:
    """Without a network, say."""
    script(tmp_path / "path", "", "go").write_text("#!/bin/sh\nexit 1\n")
    with pytest.raises(ConfigError, match=r"go install .*failed; run `make setup`, or install"):
        ensure_opa(nowhere)


def test_the_command_prints_where_opa_is(nowhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--install DIR` is quick when DIR/bin has one."""
    file = script(nowhere / "bin", f"Version: {OPA_VERSION}")
    assert main(["--install", str(nowhere)]) == 0
    assert capsys.readouterr().out == f"{file}\n"


def test_the_command_tells_why_it_failed(nowhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 3: unavailable."""
    assert main(["--install", str(nowhere)]) == 3
    assert "policy.opa: no opa" in capsys.readouterr().err
