"""examples/policy-repo as its CI runs it: the steps of its action, in order, on two checkouts."""

import gzip
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from proxy.pdp.find_opa import find_opa
from proxy.pdp.review.log_files import read_log

ROOT = Path(__file__).parents[2]
REPOSITORY = ROOT / "examples" / "policy-repo"
OPA = find_opa(tools_dir=ROOT / ".tools" / "bin").path.absolute()
PROTECTED = "policy/protected/data.yaml"
STEPS = ("Format", "Lint", "Test", "Review")


@pytest.fixture
def head(tmp_path: Path) -> Path:
    """The checkout of a pull request, with that of its base branch beside it."""
    head = tmp_path / "head"
    shutil.copytree(REPOSITORY, head)
    shutil.copytree(REPOSITORY, tmp_path / "base")
    return head


def step(head: Path, name: str, **environ: str) -> tuple[int, str]:
    """Run a step of the base's action as a runner does; return its exit code and what it says."""
    base = head.parent / "base"
    action = yaml.safe_load((base / "action.yml").read_text())
    (found,) = [one for one in action["runs"]["steps"] if one["name"] == name]
    known = {"inputs.head": str(head), "inputs.base": "../base", "runner.temp": str(temp(head))}
    own = {key: filled(value, known) for key, value in found.get("env", {}).items()}
    path = os.pathsep.join((str(Path(sys.executable).parent), str(OPA.parent), os.environ["PATH"]))
    given = {"PATH": path, "GITHUB_ACTION_PATH": str(base), "HOME": str(head)} | own
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", found["run"]],
        cwd=filled(found["working-directory"], known),
        env=given | environ,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def temp(head: Path) -> Path:
    """Return the runner's own directory."""
    return head.parent / "temp"


def filled(text: str, known: dict[str, str]) -> str:
    """Return a value of the action with what the runner puts into it."""
    return re.sub(r"\$\{\{ (\S+) \}\}", lambda found: known[found[1]], text)


def open_up(head: Path, pattern: str) -> None:
    """Let agents change what the pattern names."""
    file = head / PROTECTED
    text = file.read_text()
    assert "open: []" in text
    file.write_text(text.replace("open: []", f'open: ["{pattern}"]'))


def test_the_log_holds_what_was_recorded() -> None:
    """At least 5,000 decisions, each readable, in well under a megabyte."""
    (file,) = (REPOSITORY / "log").glob("*.jsonl.gz")
    records = list(read_log(file))
    assert len(records) >= 5_000
    assert None not in records
    assert file.stat().st_size < 800_000
    refused = [one for one in records if one and one.answer["verdict"] == "deny"]
    assert {"protected-path", "path-outside-workspace", "session-read-only"} <= {
        why["id"] for one in refused for why in one.answer["reasons"]
    }


def sample(head: Path, count: int) -> None:
    """Leave the newest records of the base's log only, for a test that is to be quick."""
    base = head.parent / "base"
    for log in (base / "log").glob("*.jsonl.gz"):
        lines = gzip.decompress(log.read_bytes()).splitlines(keepends=True)
        log.write_bytes(gzip.compress(b"".join(lines[-count:])))
    budget = (base / "budget.env").read_text()
    (base / "budget.env").write_text(budget.replace("COMPARED=5000", f"COMPARED={count}"))


def review(head: Path, pattern: str) -> tuple[int, str]:
    """Review a change that lets agents into what the pattern names."""
    shutil.copy(REPOSITORY / PROTECTED, head / PROTECTED)
    open_up(head, pattern)
    code, told = step(head, "Review")
    return code, told + (temp(head) / "policy-review/review.md").read_text()


@pytest.mark.timeout(600)
def test_a_loosened_path_rule_is_over_the_budget_and_a_narrow_one_is_not(head: Path) -> None:
    """On a part of the log. What a pull request is checked by is the base's, whatever it brings."""
    sample(head, 400)
    (head / "budget.env").write_text("MAX_FLIPS=99999\nMAX_PERMISSIONS=99999\n")
    (head / "scripts/review.sh").write_text("#!/bin/sh\nexit 0\n")
    shutil.rmtree(head / "log")
    code, told = review(head, "deploy/**")
    assert code == 1, told
    assert "new permissions" in told
    assert "deploy/production.yaml" in told
    code, told = review(head, "deploy/notes/*")
    assert (code, "0 flips and 0 other changes in 400 decisions" in told) == (0, True), told


def test_a_log_that_has_shrunk_is_no_evidence(head: Path) -> None:
    """A base that can compare too little fails every change."""
    sample(head, 50)
    budget = head.parent / "base/budget.env"
    budget.write_text(budget.read_text().replace("COMPARED=50", "COMPARED=51"))
    code, told = review(head, "deploy/notes/*")
    assert (code, "compared: 50, and at least 51 must be" in told) == (1, True), told


@pytest.mark.parametrize("odd", ["a link", "a linked folder", "a name", "policy itself"])
def test_a_branch_leads_nothing_anywhere(head: Path, odd: str) -> None:
    """Neither what is copied nor what is appended: not to the scripts of the base, above all."""
    script = head.parent / "base/scripts/assemble.sh"
    before, policy = script.read_bytes(), head / "policy"
    if odd == "a link":
        (policy / "reasons/data.yaml").symlink_to(script)
    elif odd == "a linked folder":
        (policy / "lib").symlink_to(script.parent)
    elif odd == "a name":
        (policy / "a\n::error::all is well.rego").write_text("package a\n")
    else:
        shutil.rmtree(policy)
        policy.symlink_to(head.parent / "base/policy")
    for name in STEPS:
        code, told = step(head, name)
        assert (code, "::error::" in told) == (2, False), (name, told)
    assert script.read_bytes() == before


def test_what_a_branch_puts_in_place_of_the_output_is_not_used(head: Path) -> None:
    """On a terminal, where it is a folder of the checkout: neither as a link nor as a review."""
    elsewhere = head.parent / "elsewhere"
    elsewhere.mkdir()
    (head / "build").symlink_to(elsewhere)
    code, told = step(head, "Lint", BUILD="build")
    assert (code, "is a link" in told, list(elsewhere.iterdir())) == (2, True, [])
    (head / "build").unlink()
    (head / "build").mkdir()
    (head / "build/tests.xml").symlink_to(elsewhere / "file")
    assert step(head, "Test", BUILD="build")[0] == 0
    assert list(elsewhere.iterdir()) == []
    shutil.rmtree(head / "build")
    (head / "build").mkdir()
    for name in ("review.md", "replay.md", "diff.md"):
        (head / "build" / name).write_text("all is well")
    (head / "policy/rules/protected_paths/protected_paths.rego").write_text("broken")
    code, told = step(head, "Review", BUILD="build")
    assert code == 2, told
    assert "all is well" not in (head / "build/review.md").read_text()


@pytest.mark.timeout(2400)
@pytest.mark.slow
def test_the_whole_check_fails_a_loosened_rule_and_passes_the_fix(head: Path) -> None:
    """Every step of the action, the whole log, and the boundaries."""
    code, told = review(head, "deploy/**")
    assert code == 1, told
    records = len(list(read_log(REPOSITORY / "log")))
    assert f" in {records} decisions" in told
    shutil.copy(REPOSITORY / PROTECTED, head / PROTECTED)
    open_up(head, "deploy/notes/*")
    for name in STEPS:
        code, told = step(head, name, BOUNDARIES="yes")
        assert code == 0, (name, told)


def test_hooks_and_workflow_run_what_is_there() -> None:
    """Each script they name exists and may be run; nothing gets more than it needs."""
    hooks = yaml.safe_load((REPOSITORY / ".pre-commit-hooks.yaml").read_text())
    action = yaml.safe_load((REPOSITORY / "action.yml").read_text())
    workflow = yaml.safe_load((REPOSITORY / ".github/workflows/policy.yml").read_text())
    named = {hook["entry"] for hook in hooks}
    named |= set(re.findall(r"scripts/\w+\.sh", (REPOSITORY / "action.yml").read_text()))
    named |= {f"scripts/{name}" for name in ("assemble.sh", "out.sh", "plain.sh")}
    assert all(os.access(REPOSITORY / name, os.X_OK) for name in named)
    assert [one["name"] for one in action["runs"]["steps"]][:4] == list(STEPS)
    assert workflow["permissions"] == {"contents": "read"}
    assert not any("${{" in one["run"] for one in action["runs"]["steps"])
    last = workflow["jobs"]["review"]["steps"][-1]
    assert (last["uses"], last["with"]) == ("./base", {"head": "head", "base": "../base"})
    owned = (REPOSITORY / ".github/CODEOWNERS").read_text()
    assert all(f"/{place}" in owned for place in ("log/", "scripts/", ".github/", "budget.env"))
