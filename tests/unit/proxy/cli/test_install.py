import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

Run = Callable[..., Result]

SETTINGS = Path(".claude/settings.json")


@pytest.fixture
def claude(tmp_path: Path) -> Callable[[str], Path]:
    """Write a program that says its version."""

    def write(said: str) -> Path:
        program = tmp_path / "claude"
        program.write_text(f"#!/bin/sh\n{said}\n")
        program.chmod(0o755)
        return program

    return write


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project that has settings of its own."""
    folder = tmp_path / "project"
    (folder / ".claude").mkdir(parents=True)
    (folder / SETTINGS).write_text('{"permissions": {"allow": ["Bash(ls)"]}}')
    return folder


def read(file: Path) -> Any:
    return json.loads(file.read_text())


def test_a_project_gets_hooks_and_the_server(detent: Run, project: Path) -> None:
    """Its own settings stay, the file as it was lies beside, every change is told."""
    (project / SETTINGS).chmod(0o600)
    result = detent("install", "claude-code", "--project", project, "--unchecked")
    assert result.exit_code == 0, result.output
    settings = read(project / SETTINGS)
    assert settings["permissions"] == {"allow": ["Bash(ls)"]}
    assert settings["hooks"]["PreToolUse"][0]["hooks"][0]["onFailure"] == "block"
    assert settings["enabledMcpjsonServers"] == ["detent"]
    assert read(project / ".mcp.json")["mcpServers"]["detent"]["type"] == "http"
    assert read(project / ".claude/settings.json.bak-1") == {"permissions": {"allow": ["Bash(ls)"]}}
    assert stat.S_IMODE((project / SETTINGS).stat().st_mode) == 0o600
    assert "+ hooks: " in result.output
    assert "export DETENT_TOKEN" in result.output


def test_doing_it_again_changes_nothing(detent: Run, project: Path) -> None:
    """No second backup either; another port is a change."""
    for _ in range(2):
        result = detent("install", "claude-code", "--project", project, "--unchecked")
    assert result.output.count("nothing to change") == 2
    assert not (project / ".claude/settings.json.bak-2").exists()
    detent("install", "claude-code", "--project", project, "--unchecked", "--url", "http://[::1]:1")
    assert (project / ".claude/settings.json.bak-2").exists()
    assert "http://[::1]:1/mcp" in (project / ".mcp.json").read_text()


def test_a_dry_run_writes_nothing(detent: Run, project: Path) -> None:
    """It tells what it would do."""
    result = detent("install", "claude-code", "--project", project, "--unchecked", "--dry-run")
    assert "+ mcpServers: " in result.output
    assert "dry run: nothing was written" in result.output
    assert read(project / SETTINGS) == {"permissions": {"allow": ["Bash(ls)"]}}
    assert not (project / ".mcp.json").exists()


def test_managed_settings_are_locked_down(detent: Run, tmp_path: Path) -> None:
    """In a directory that is made when there is none."""
    managed = tmp_path / "etc" / "claude-code"
    result = detent("install", "claude-code", "--managed", managed, "--unchecked")
    assert result.exit_code == 0, result.output
    assert read(managed / "managed-settings.json")["allowManagedHooksOnly"] is True
    assert "detent" in read(managed / "managed-mcp.json")["mcpServers"]


def test_a_value_that_changes_is_told_with_what_it_was(detent: Run, tmp_path: Path) -> None:
    """So that nobody has to look for it."""
    managed = tmp_path / "managed"
    managed.mkdir()
    given = {"allowManagedHooksOnly": False, "allowedHttpHookUrls": ["https://x.example/*"]}
    (managed / "managed-settings.json").write_text(json.dumps(given))
    output = detent("install", "claude-code", "--managed", managed, "--unchecked").output
    assert "~ allowManagedHooksOnly: false -> true" in output
    assert '+ allowedHttpHookUrls[]: "http://127.0.0.1:8787/hooks/claude-code"' in output
    again = (
        "install",
        "claude-code",
        "--managed",
        managed,
        "--unchecked",
        "--url",
        "http://[::1]:1",
    )
    assert '- hooks.PreToolUse[]: {"hooks"' in detent(*again).output


@pytest.mark.parametrize("said", ["echo '2.1.295 (Claude Code)'", "echo 3.0.0"])
def test_a_version_that_can_fail_closed_is_taken(
    detent: Run, project: Path, claude: Callable[[str], Path], said: str
) -> None:
    """What the program says counts."""
    result = detent("install", "claude-code", "--project", project, "--claude", claude(said))
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("echo '2.1.294 (Claude Code)'", "2.1.295 is the first that can be told not to"),
        ("echo 1.9.999", "lets a tool run when its hook gets no answer"),
        ("echo hello", "does not say its version"),
        ("exec /nowhere", "does not say its version"),
    ],
)
def test_any_other_program_is_refused(
    detent: Run, project: Path, claude: Callable[[str], Path], said: str, message: str
) -> None:
    """An older one fails open; nothing is written."""
    result = detent("install", "claude-code", "--project", project, "--claude", claude(said))
    assert result.exit_code == 2
    assert message in result.output
    assert not (project / ".mcp.json").exists()


def test_a_program_that_cannot_be_started_is_refused(
    detent: Run, project: Path, tmp_path: Path
) -> None:
    """It is no program."""
    broken = tmp_path / "broken"
    broken.write_bytes(b"\x00\x01")
    broken.chmod(0o755)
    result = detent("install", "claude-code", "--project", project, "--claude", broken)
    assert "does not say its version" in result.output


def test_without_the_program_its_version_has_to_be_waived(detent: Run, project: Path) -> None:
    """Managed settings may be written where Claude Code is not."""
    missing = ("install", "claude-code", "--project", project, "--claude", "no-such-claude")
    result = detent(*missing)
    assert result.exit_code == 2
    assert "--unchecked" in result.output


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read as JSON"),
        ("[]", "holds no JSON object"),
        ('{"disableAllHooks": true}', "no hook would run"),
        ('{"hooks": []}', "cannot be merged: hooks is no object"),
    ],
)
def test_settings_that_cannot_be_kept_are_left_alone(
    detent: Run, project: Path, text: str, message: str
) -> None:
    """Nothing is lost to a guess."""
    (project / SETTINGS).write_text(text)
    result = detent("install", "claude-code", "--project", project, "--unchecked")
    assert result.exit_code == 2
    assert message in result.output
    assert (project / SETTINGS).read_text() == text


@pytest.mark.parametrize("url", ["127.0.0.1:8787", "ftp://h", "http://h/path", "http://"])
def test_a_port_is_named_by_its_origin(detent: Run, project: Path, url: str) -> None:
    """Paths are ours."""
    result = detent("install", "claude-code", "--project", project, "--unchecked", "--url", url)
    assert result.exit_code == 2
    assert "give --url as" in result.output


def test_a_file_that_cannot_be_written_is_a_usage_error(detent: Run, tmp_path: Path) -> None:
    """With the file's name; there is none in the end."""
    (tmp_path / "managed-settings.json.partial").mkdir()
    result = detent("install", "claude-code", "--managed", tmp_path, "--unchecked")
    assert result.exit_code == 2
    assert "managed-settings.json cannot be written" in result.output
    assert not (tmp_path / "managed-settings.json").exists()
