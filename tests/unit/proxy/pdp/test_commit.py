"""The commit policies come from."""

import subprocess
from pathlib import Path

import pytest

from proxy.pdp import commit
from proxy.pdp.bundle_files import read_bundle
from proxy.pdp.commit import commit_of, commit_time

IDENTITY = ("-c", "user.name=A", "-c", "user.email=a@example.com")


def git(directory: Path, *arguments: str) -> str:
    """Run git and return what it prints."""
    command = ["git", *IDENTITY, "-C", str(directory), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture(params=["sha1", "sha256"])
def repository(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A repository with policies in a folder, committed, in either hash."""
    git(tmp_path, "init", "--quiet", f"--object-format={request.param}")
    policies = tmp_path / "policies"
    (policies / "roles").mkdir(parents=True)
    (policies / "main.rego").write_text("package detent.main\n")
    (policies / "roles/data.yaml").write_text("a: {}\n")
    (policies / "README.md").write_text("x\n")
    (tmp_path / "main.rego").write_text("package elsewhere\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message", "x")
    return policies


def told(source: Path) -> str:
    """Return what is told of the source as it is now."""
    return commit_of(source, read_bundle(source))


def test_a_clean_work_tree_tells_its_commit(repository: Path) -> None:
    """Twelve digits of HEAD."""
    assert told(repository) == f"+git:{git(repository, 'rev-parse', 'HEAD')[:12]}"


def test_what_does_not_belong_to_the_bundle_does_not_count(repository: Path) -> None:
    """A page or a file beside the policies may differ."""
    (repository / "README.md").write_text("y\n")
    (repository.parent / "main.rego").write_text("package other\n")
    assert not told(repository).endswith("-dirty")


@pytest.mark.parametrize("change", ["edit", "add", "delete"])
def test_whatever_differs_is_dirty(repository: Path, change: str) -> None:
    """Edited, added and deleted files, committed to the index or not."""
    if change == "edit":
        (repository / "main.rego").write_text("package detent.main2\n")
    elif change == "add":
        (repository / "more.rego").write_text("package detent.more\n")
    else:
        (repository / "roles/data.yaml").unlink()
    assert told(repository).endswith("-dirty")


def test_an_edit_in_the_index_is_dirty(repository: Path) -> None:
    """Only what is committed has a commit."""
    (repository / "main.rego").write_text("package detent.main2\n")
    git(repository, "add", ".")
    assert told(repository).endswith("-dirty")


def test_outside_git_nothing_is_told(tmp_path: Path) -> None:
    """The digest is enough."""
    assert commit_of(tmp_path, {"a.rego": b""}) == ""


def test_a_repository_without_commits_tells_nothing(tmp_path: Path) -> None:
    """There is no HEAD yet."""
    git(tmp_path, "init", "--quiet")
    assert commit_of(tmp_path, {}) == ""


def test_without_git_nothing_is_told(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without git stages all the same."""
    monkeypatch.setitem(commit._ENV, "PATH", "/nowhere")
    assert told(repository) == ""


def test_a_slow_git_is_not_waited_for(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Time is bounded."""
    monkeypatch.setattr(commit, "GIT_TIMEOUT_S", 0.0)
    assert told(repository) == ""


@pytest.fixture
def trap(tmp_path: Path) -> Path:
    """A file that `program`, beside it, makes when it is run."""
    trap, program = tmp_path / "trap", tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {trap}\ncat\n")
    program.chmod(0o700)
    return trap


def test_the_repositorys_settings_start_no_program(repository: Path, trap: Path) -> None:
    """A file-system monitor or a filter named in .git/config is not run."""
    program = trap.with_name("program")
    git(repository, "config", "core.fsmonitor", str(program))
    git(repository, "config", "filter.x.clean", str(program))
    (repository.parent / ".git/info/attributes").write_text("* filter=x\n")
    (repository / "main.rego").write_text("package detent.main2\n")
    trap.unlink(missing_ok=True)
    assert told(repository).endswith("-dirty")
    assert not trap.exists()


def test_a_folder_that_is_a_repository_itself_is_asked_nothing(tmp_path: Path, trap: Path) -> None:
    """The files of a bare one travel in any commit; what it lacks would be fetched by a program."""
    missing = "1" * 40
    files = {
        "HEAD": "ref: refs/heads/main\n",
        "refs/heads/main": f"{missing}\n",
        "objects/info/keep": "",
        "config": "[core]\nrepositoryformatversion = 1\nbare = true\n"
        '[extensions]\npartialClone = origin\n[remote "origin"]\nurl = .\npromisor = true\n'
        f"uploadpack = {trap.with_name('program')}\n",
    }
    for name, text in files.items():
        (tmp_path / "policies" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "policies" / name).write_text(text)
    assert commit_of(tmp_path / "policies", {}) == ""
    assert commit_time(tmp_path / "policies") == 0
    assert not trap.exists()


def test_nothing_is_fetched_and_no_signature_checked(repository: Path, trap: Path) -> None:
    """Settings in .git/config name programs for both."""
    program = str(trap.with_name("program"))
    commit = git(repository, "cat-file", "commit", "HEAD")
    signed = commit.replace("\n\n", "\ngpgsig -----BEGIN PGP SIGNATURE-----\n \n x\n\n", 1)
    (trap.with_name("commit")).write_text(f"{signed}\n")
    made = git(repository, "hash-object", "-t", "commit", "-w", str(trap.with_name("commit")))
    git(repository, "update-ref", "HEAD", made)
    for name, value in {
        "log.showSignature": "true",
        "gpg.program": program,
        "extensions.partialClone": "origin",
        "remote.origin.url": ".",
        "remote.origin.promisor": "true",
        "remote.origin.uploadpack": program,
    }.items():
        git(repository, "config", name, value)
    assert commit_time(repository) > 0
    git(repository, "update-ref", "--no-deref", "refs/heads/gone", made)
    (repository.parent / ".git/objects" / made[:2] / made[2:]).unlink()
    assert told(repository) == ""
    assert not trap.exists()


def test_the_time_is_that_of_the_newest_commit_of_these_files(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other folders of the repository do not count."""
    before = commit_time(repository)
    assert before == int(git(repository, "log", "-1", "--format=%ct"))
    (repository.parent / "main.rego").write_text("# newer\n")
    monkeypatch.setenv("GIT_COMMITTER_DATE", "4000000000 +0000")
    git(repository.parent, "commit", "--quiet", "--all", "--message", "y")
    assert commit_time(repository) == before
    (repository / "main.rego").write_text("# newer\n")
    git(repository.parent, "commit", "--quiet", "--all", "--message", "z")
    assert commit_time(repository) == 4_000_000_000


def test_without_a_commit_there_is_no_time(tmp_path: Path) -> None:
    """Nor in a repository whose commits know nothing of these files."""
    assert commit_time(tmp_path) == 0
    git(tmp_path, "init", "--quiet")
    (tmp_path / "main.rego").write_text("package x\n")
    assert commit_time(tmp_path) == 0
