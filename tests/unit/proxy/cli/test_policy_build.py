import hashlib
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from proxy.cli.policy_build import write_whole
from tests.harness.tiny_bundle import BROKEN_RULE, FAILING_SUITE, write

Run = Callable[..., Result]


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A directory of policies."""
    return write(tmp_path / "bundle")


def test_a_bundle_is_built_the_same_every_time(detent: Run, bundle: Path, tmp_path: Path) -> None:
    """Digest, revision and number are told."""
    told = []
    for name in ("a.tar.gz", "b.tar.gz"):
        archive = tmp_path / name
        result = detent("policy", "build", bundle, "-o", archive, "--number", "7", "--json")
        assert result.exit_code == 0, result.output
        told.append(json.loads(result.output))
        assert told[-1]["sha256"] == hashlib.sha256(archive.read_bytes()).hexdigest()
        assert told[-1].pop("archive") == str(archive)
    assert told[0] == told[1]
    assert told[0]["number"] == 7


def test_the_number_is_the_time_of_the_commit(detent: Run, bundle: Path, tmp_path: Path) -> None:
    """So that nobody has to count."""
    git = ("git", "-C", str(bundle), "-c", "user.name=x", "-c", "user.email=x@x")
    for command in (("init", "-q"), ("add", "."), ("commit", "-qm", "x")):
        subprocess.run((*git, *command), check=True)
    stamp = subprocess.run((*git, "log", "-1", "--format=%ct"), capture_output=True, check=True)
    result = detent("policy", "build", bundle, "-o", tmp_path / "a.tar.gz")
    assert f"number:    {int(stamp.stdout)}\n" in result.output


def test_without_a_commit_the_number_is_asked_for(
    detent: Run, bundle: Path, tmp_path: Path
) -> None:
    """There is none to make up."""
    result = detent("policy", "build", bundle, "-o", tmp_path / "a.tar.gz")
    assert result.exit_code == 2
    assert "--number" in result.output


def test_policies_whose_suites_fail_are_not_built(
    detent: Run, bundle: Path, tmp_path: Path
) -> None:
    """Every gateway would refuse them; the case is told."""
    write(bundle, {"suites/reads.yaml": FAILING_SUITE})
    result = detent("policy", "build", bundle, "-o", tmp_path / "a.tar.gz", "--number", "1")
    assert result.exit_code == 2
    assert "1 cases of the suites fail" in result.stderr
    assert not (tmp_path / "a.tar.gz").exists()


def test_broken_policies_are_not_built(detent: Run, bundle: Path, tmp_path: Path) -> None:
    """Nothing is written."""
    write(bundle, {"main.rego": BROKEN_RULE})
    result = detent("policy", "build", bundle, "-o", tmp_path / "a.tar.gz", "--number", "1")
    assert result.exit_code == 2
    assert not (tmp_path / "a.tar.gz").exists()


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    """Who serves it meanwhile serves the old one."""
    (tmp_path / "a").mkdir()
    with pytest.raises(OSError, match="a"):
        write_whole(tmp_path / "a", b"x")
    assert [one.name for one in tmp_path.iterdir()] == ["a"]
