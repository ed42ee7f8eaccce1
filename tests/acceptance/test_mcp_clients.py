"""The official MCP client, in both eras, through the gateway to a real server."""

import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client

from tests.harness.gateway import Gateway
from tests.harness.world import ROOT, World

GIT_SERVER = str(Path(sys.executable).parent / "mcp-server-git")
ERAS = ["legacy", "2026-07-28", "auto"]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A scratch repository with one staged file."""
    path = tmp_path / "scratch"
    path.mkdir()
    git(path, "init", "-q", "-b", "main")
    git(path, "config", "user.email", "loop@example.org")
    git(path, "config", "user.name", "loop")
    git(path, "commit", "-q", "--allow-empty", "-m", "begin")
    (path / "notes.txt").write_text("one line\n")
    git(path, "add", "notes.txt")
    return path


def git(path: Path, *arguments: str) -> str:
    """Run git in the scratch repository."""
    command = ["git", "-C", str(path), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def git_world(world: World, repository: Path) -> World:
    """The product's own manifest for mcp-server-git, on the scratch repository."""
    world.tools["repo"] = yaml.safe_load((ROOT / "policies/tools/repo/data.yaml").read_text())
    world.servers = {"repo": {"mcp": {"command": [GIT_SERVER, "--repository", str(repository)]}}}
    world.write()
    world.data("workspaces", {"scratch": str(repository)})
    return world


@asynccontextmanager
async def client(gateway: Gateway, era: str, path: str = "/mcp") -> AsyncIterator[Client]:
    """Connect the SDK's client as a person would configure it."""
    headers = {"Authorization": f"Bearer {gateway.world.agent_token}"}
    async with httpx2.AsyncClient(headers=headers, timeout=30) as http:
        transport = streamable_http_client(gateway.agents + path, http_client=http)
        async with Client(transport, mode=era) as connected:
            yield connected


@pytest.mark.parametrize("era", ERAS)
async def test_list_read_and_commit(git_world: World, repository: Path, era: str) -> None:
    """The commit is in the repository, its intent is older, its decision names the policy."""
    async with Gateway(git_world) as gateway, client(gateway, era) as agent:
        names = [tool.name for tool in (await agent.list_tools()).tools]
        assert "repo__git_status" in names
        here = {"repo_path": str(repository)}
        status = await agent.call_tool("repo__git_status", here)
        assert "notes.txt" in text_of(status)
        done = await agent.call_tool("repo__git_commit", here | {"message": "by way of policy"})
        assert not done.is_error, text_of(done)
        assert git(repository, "log", "-1", "--format=%s").strip() == "by way of policy"
        committed_at = int(git(repository, "log", "-1", "--format=%ct"))
        _, listed = await gateway.operate("GET", "/v1/intents?state=done")
        step = next(row for row in listed["intents"] if row["tool"] == "repo/git_commit")
        assert step["at_epoch_s"] <= committed_at + 1
        assert step["policy_revision"].startswith("sha256:")


@pytest.mark.parametrize("era", ERAS)
async def test_a_refusal_is_something_the_model_can_read(git_world: World, era: str) -> None:
    """An isError result with reasons and what to do, not a broken connection."""
    async with Gateway(git_world) as gateway, client(gateway, era) as agent:
        refused = await agent.call_tool("repo__git_status", {"repo_path": "/etc"})
        assert refused.is_error
        assert "path-outside-workspace" in text_of(refused)


@pytest.mark.parametrize("era", ERAS)
async def test_one_server_has_its_own_endpoint_with_plain_names(
    git_world: World, repository: Path, era: str
) -> None:
    """`/mcp/{server}` lists and calls that server's tools under their own names."""
    async with Gateway(git_world) as gateway, client(gateway, era, "/mcp/repo") as agent:
        assert "git_status" in [tool.name for tool in (await agent.list_tools()).tools]
        status = await agent.call_tool("git_status", {"repo_path": str(repository)})
        assert not status.is_error


@pytest.mark.parametrize("era", ERAS)
async def test_what_policy_hides_is_neither_listed_nor_called(
    git_world: World, repository: Path, era: str
) -> None:
    """List and call agree (I21)."""
    git_world.roles = {"tester": {"tools": ["repo/git_status"]}}
    async with Gateway(git_world) as gateway, client(gateway, era) as agent:
        assert [tool.name for tool in (await agent.list_tools()).tools] == ["repo__git_status"]
        refused = await agent.call_tool("repo__git_log", {"repo_path": str(repository)})
        assert refused.is_error


@pytest.mark.parametrize("era", ERAS)
async def test_a_dry_run_session_previews_the_commit(
    git_world: World, repository: Path, era: str
) -> None:
    """Nothing is committed; the preview shows the exact call."""
    git_world.settings = {"dry_run": True}
    async with Gateway(git_world) as gateway, client(gateway, era) as agent:
        arguments = {"repo_path": str(repository), "message": "not really"}
        preview = await agent.call_tool("repo__git_commit", arguments)
        assert not preview.is_error
        assert "not really" in text_of(preview)
        assert git(repository, "log", "-1", "--format=%s").strip() == "begin"


def text_of(result: Any) -> str:
    """Return the text of a result."""
    return " ".join(item.text for item in result.content if item.type == "text")
