import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import Result

from proxy.model.tool import Effect
from proxy.pdp.manifests import load_catalogue
from tests.harness.world import ROOT, World

Run = Callable[..., Result]

GIT_SERVER = str(Path(sys.executable).parent / "mcp-server-git")


@pytest.fixture
def with_git(world: World) -> World:
    """A world with the real mcp-server-git, on a repository of its own."""
    repository = world.directory / "work"
    subprocess.run(["git", "init", "-q", repository], check=True)
    world.servers = {"repo": {"mcp": {"command": [GIT_SERVER, "--repository", str(repository)]}}}
    return world


def test_a_draft_of_a_real_server_loads_as_a_manifest(
    detent: Run, with_git: World, tmp_path: Path
) -> None:
    """Its pins are those that were reviewed; what nobody reviewed is on the careful side."""
    draft = with_git.bundle / "tools/repo/data.yaml"
    result = detent("tools", "import", "repo", "-o", draft, "--config", with_git.write())
    assert result.exit_code == 0, result.output
    assert f"wrote {draft}: review effect" in result.output
    drafted = {
        tool: manifest
        for (server, tool), manifest in load_catalogue(with_git.bundle).tools.items()
        if server == "repo"
    }
    shipped: dict[str, Any] = yaml.safe_load((ROOT / "policies/tools/repo/data.yaml").read_text())
    assert {name: one.pin for name, one in drafted.items()} == {
        name: entry["pin"] for name, entry in shipped.items()
    }
    assert drafted["git_commit"].effect is Effect.IRREVERSIBLE
    assert drafted["git_status"].untrusted


def test_a_file_that_is_there_is_never_written_over(detent: Run, world: World) -> None:
    """It may be reviewed work; the server is not even asked."""
    there = world.directory / "data.yaml"
    there.write_text("reviewed")
    result = detent("tools", "import", "rec", "-o", there, "--config", world.write())
    assert (result.exit_code, there.read_text()) == (2, "reviewed")
    assert "write the draft elsewhere and compare" in result.stderr


@pytest.fixture
def with_shell(world: World) -> World:
    """A world with a server of one tool, which starts at once."""
    world.servers = {"sh": {"mcp": {"command": [sys.executable, "-I", "-S", "-c", SERVER]}}}
    return world


SERVER = """
import json, sys
TOOL = {"name": "one", "description": "First.", "inputSchema": {"type": "object"}}
RESULTS = {"initialize": {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}},
           "serverInfo": {"name": "sh", "version": "1"}}, "tools/list": {"tools": [TOOL]}}
for line in sys.stdin:
    asked = json.loads(line)
    if asked.get("method") in RESULTS:
        answer = {"jsonrpc": "2.0", "id": asked["id"], "result": RESULTS[asked["method"]]}
        print(json.dumps(answer), flush=True)
"""


def test_a_draft_without_a_file_goes_to_the_terminal_whole(detent: Run, with_shell: World) -> None:
    """What is printed is the YAML, and nothing else."""
    result = detent("tools", "import", "sh", "--config", with_shell.write())
    assert (result.exit_code, list(yaml.safe_load(result.stdout))) == (0, ["one"])


@pytest.mark.parametrize("place", ["detent.yaml/x/data.yaml", "detent.yaml/data.yaml"])
def test_a_place_that_cannot_be_written_is_a_usage_error(
    detent: Run, with_shell: World, place: str
) -> None:
    """A file stands where a directory would have to be."""
    output = with_shell.directory / place
    result = detent("tools", "import", "sh", "-o", output, "--config", with_shell.write())
    assert result.exit_code == 2
    assert "cannot be written" in result.stderr


def test_folders_on_the_way_are_made(detent: Run, with_shell: World) -> None:
    """As for a new server in the bundle."""
    output = with_shell.directory / "new/tools/sh/data.yaml"
    result = detent("tools", "import", "sh", "-o", output, "--config", with_shell.write())
    assert result.exit_code == 0
    assert list(yaml.safe_load(output.read_text())) == ["one"]


@pytest.fixture
def with_api(world: World) -> World:
    """A world whose HTTP service is described by a file beside its settings."""
    http = {"base_url": world.recorder_url, "openapi": "api.yaml"}
    world.servers = {"api": {"http": http, "allow_private": True}}
    (world.directory / "api.yaml").write_text(API)
    return world


API = "openapi: 3.1.0\npaths: {/things: {get: {operationId: list_things}}}\n"


def test_the_tools_of_an_http_service_come_from_its_description(
    detent: Run, with_api: World
) -> None:
    """And the service itself is not asked."""
    draft = with_api.bundle / "tools/api/data.yaml"
    result = detent("tools", "import", "api", "-o", draft, "--config", with_api.write())
    assert (result.exit_code, f"wrote {draft}" in result.output) == (0, True)
    (tool,) = (one for one in load_catalogue(with_api.bundle).tools.values() if one.server == "api")
    assert (tool.tool, tool.effect) == ("list_things", Effect.READ)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, "servers.api.http.openapi: {file} cannot be read (No such file or directory); name"),
        ("swagger: '2.0'\npaths: {}", "api.yaml:1: not OpenAPI 3.0, 3.1 or 3.2. Cure: convert"),
    ],
)
def test_a_description_that_cannot_be_read_is_told(
    detent: Run, with_api: World, text: str | None, told: str
) -> None:
    """With the setting or the line, and the cure."""
    file = with_api.directory / "api.yaml"
    file.unlink()
    if text is not None:
        file.write_text(text)
    result = detent("tools", "import", "api", "--config", with_api.write())
    assert result.exit_code == 2
    assert told.format(file=file) in result.stderr


@pytest.mark.parametrize(
    ("server", "code", "told"),
    [
        ("none", 2, "servers.none: not configured; there are: gone, rec"),
        ("rec", 2, "servers.rec: an HTTP service says nothing of its tools"),
        ("gone", 3, "gone was not started: '/nowhere/server'"),
    ],
)
def test_a_server_that_gives_no_tools_is_told(
    detent: Run, world: World, server: str, code: int, told: str
) -> None:
    """Unknown and HTTP are for the settings, one that does not run is unavailable."""
    world.servers = {"gone": {"mcp": {"command": ["/nowhere/server"]}}}
    result = detent("tools", "import", server, "--config", world.write())
    assert result.exit_code == code
    assert told in result.stderr
