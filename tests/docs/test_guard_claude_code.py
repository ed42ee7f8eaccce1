"""The how-to page on Claude Code: its commands run, its entry is one, what it names is there."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from proxy.cli import main
from proxy.cli.hook import AGENTS, TIMEOUT_S
from proxy.pdp.manifest_problems import problems_of_tool
from proxy.pdp.manifests import load_catalogue

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/how-to/guard-claude-code.md").read_text()


def blocks(language: str) -> list[str]:
    """Return the blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize(
    "line", [line for block in blocks("console") for line in block.splitlines()]
)
def test_the_commands_of_the_page_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    """In a project, with a Claude Code that is new enough."""
    program = tmp_path / "claude"
    program.write_text("#!/bin/sh\necho '2.1.330 (Claude Code)'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.chdir(tmp_path)
    words = (
        line.removeprefix("$ detent ").replace("/etc/claude-code", str(tmp_path / "etc")).split()
    )
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    assert "onFailure" in result.output or "hooks" in result.output


def test_the_entry_of_the_page_is_the_shipped_one() -> None:
    """A part of it at least, and without a problem."""
    (entry,) = (yaml.safe_load(block)["Bash"] for block in blocks("yaml") if "Bash:" in block)
    assert list(problems_of_tool("Bash", entry, {})) == []
    shipped = load_catalogue(ROOT / "policies").tools["claude-code", "Bash"].document
    kept: Any = {**shipped, "constraints": shipped["constraints"][:1]}
    assert entry == kept


def test_codex_is_told_to_ask_what_there_is() -> None:
    """An agent the command knows, within its own timeout."""
    (block,) = blocks("toml")
    (hook,) = tomllib.loads(block)["hooks"]["PreToolUse"][0]["hooks"]
    assert hook["command"].split()[:3] == ["detent", "hook", "--agent"]
    assert hook["command"].split()[3] in AGENTS
    assert hook["timeout"] > TIMEOUT_S


def test_the_roles_and_tools_of_the_page_are_there() -> None:
    """As the shipped policies have them."""
    catalogue = load_catalogue(ROOT / "policies")
    hooked = {tool for server, tool in catalogue.tools if server == "claude-code"}
    assert {"CronCreate", "ScheduleWakeup", "Bash"} <= hooked
    roles = yaml.safe_load((ROOT / "policies/roles/data.yaml").read_text())
    assert roles["coder"] == {"tools": ["claude-code/*"]}
