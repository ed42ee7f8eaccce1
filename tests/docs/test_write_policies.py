"""The how-to page on writing policies: its commands run, its tables are whole, its suite passes."""

import re
import subprocess
import sys
from pathlib import Path

import proxy
from proxy.pdp.lint.run import ABOUT
from proxy.pdp.manifests import load_catalogue
from proxy.pdp.suites import load_suites

ROOT = Path(proxy.__file__).parents[1]
PAGE = (ROOT / "docs/how-to/write-policies.md").read_text()
DETENT = [str(Path(sys.executable).with_name("detent"))]


def blocks(language: str) -> list[str]:
    """Return the blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_the_commands_of_the_page_succeed(tmp_path: Path) -> None:
    """One after the other, in an empty directory."""
    commands = [line[2:] for line in blocks("console")[0].splitlines()]
    assert len(commands) == 3
    for command in commands:
        done = subprocess.run(
            [*DETENT, *command.split()[1:]],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_suite_of_the_page_is_read_as_four_cases(tmp_path: Path) -> None:
    """Two modes, two variants; the tool is one of the shipped manifests."""
    (tmp_path / "suites").mkdir()
    (tmp_path / "suites/git.yaml").write_text(blocks("yaml")[0])
    cases = load_suites(tmp_path, load_catalogue(ROOT / "policies"))
    assert len(cases) == 4
    assert {case.expected["verdict"] for case in cases} == {"deny"}


def test_the_table_has_every_rule_of_the_lint() -> None:
    """None is missing, none is invented."""
    table = PAGE[PAGE.index("## Lint") : PAGE.index("## Guards")]
    assert set(re.findall(r"^\| `([a-z-]+)` \|", table, re.MULTILINE)) == set(ABOUT)


def test_every_option_of_the_table_is_one_of_the_command() -> None:
    """And the other way round."""
    told = subprocess.run(
        [*DETENT, "policy", "test", "--help"], capture_output=True, check=True, text=True
    )
    offered = set(re.findall(r"^\s+(--[a-z]+)", told.stdout, re.MULTILINE)) - {"--help"}
    table = PAGE[PAGE.index("## Test") : PAGE.index("## Lint")]
    assert set(re.findall(r"^\| `(--[a-z]+)", table, re.MULTILINE)) == offered
