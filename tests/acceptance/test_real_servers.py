"""Real MCP servers through a real gateway, driven by the official client in both eras.

The npm servers know only the handshake era, so a 2026-07-28 client reaches them by way of the
bridge; the PyPI ones know both.
"""

import json
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
import pytest_asyncio
from mcp.client.client import Client

from tests.harness.real_servers import RealServers, running
from tests.harness.sdk_client import ERAS, connected, text_of

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.parametrize("era", ERAS),
    pytest.mark.timeout(300),  # the first test starts all servers
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def real(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RealServers]:
    """All servers that are installed, behind one gateway for all tests."""
    async with running(tmp_path_factory.mktemp("real")) as servers:
        yield servers


def client(real: RealServers, era: str, server: str) -> AbstractAsyncContextManager[Client]:
    """Connect to the endpoint of one server; skip where it is not installed."""
    if server in real.missing:
        pytest.skip(real.missing[server])
    return connected(real.gateway, era, f"/mcp/{server}")


async def names(agent: Client) -> list[str]:
    """Return the names of the tools an agent sees."""
    return sorted(tool.name for tool in (await agent.list_tools()).tools)


async def refused(agent: Client, tool: str, arguments: dict[str, Any]) -> str:
    """Call what policy refuses; return what the model reads."""
    result = await agent.call_tool(tool, arguments)
    assert result.is_error
    return text_of(result)


async def test_filesystem(real: RealServers, era: str) -> None:
    """Files are listed, read and written in the folder policy names, and nowhere else."""
    async with client(real, era, "files") as agent:
        assert await names(agent) == ["list_directory", "read_text_file", "write_file"]
        listed = await agent.call_tool("list_directory", {"path": str(real.notes)})
        assert "first.txt" in text_of(listed)
        read = await agent.call_tool("read_text_file", {"path": str(real.notes / "first.txt")})
        assert "what was there before" in text_of(read)
        written = real.notes / f"{era}.txt"
        done = await agent.call_tool("write_file", {"path": str(written), "content": era})
        assert not done.is_error
        assert written.read_text() == era
        before = real.calls("files", "write_file")
        beside = real.notes.parent / "beside.txt"
        reasons = await refused(agent, "write_file", {"path": str(beside), "content": "x"})
        assert "path-outside-workspace" in reasons
    assert not beside.exists()
    assert real.calls("files", "write_file") == before


async def test_memory(real: RealServers, era: str) -> None:
    """Entities are made and read; deleting is not in the role, so it does not exist."""
    name = f"entity of {era}"
    async with client(real, era, "memory") as agent:
        assert await names(agent) == ["create_entities", "read_graph"]
        entity = {"name": name, "entityType": "test", "observations": ["seen"]}
        done = await agent.call_tool("create_entities", {"entities": [entity]})
        assert not done.is_error
        kept = [json.loads(line)["name"] for line in real.graph.read_text().splitlines()]
        assert name in kept
        assert name in text_of(await agent.call_tool("read_graph", {}))
        await refused(agent, "delete_entities", {"entityNames": [name]})
    assert name in real.graph.read_text()
    assert real.calls("memory", "delete_entities") == 0


async def test_everything(real: RealServers, era: str) -> None:
    """Tools, resources and prompts work; a tool that shows the environment does not exist."""
    async with client(real, era, "everything") as agent:
        listed = await names(agent)
        assert "echo" in listed
        assert "get-env" not in listed
        assert "hello" in text_of(await agent.call_tool("echo", {"message": "hello"}))
        arguments = {
            "name": f"{era}.gz",
            "data": "data:text/plain,hello",
            "outputType": "resourceLink",
        }
        linked = await agent.call_tool("gzip-file-as-resource", arguments)
        made = str(linked.content[0].uri)  # type: ignore[union-attr]  # a link, or the test fails
        assert (await agent.read_resource(made)).contents[0].mime_type == "application/gzip"
        resources = (await agent.list_resources()).resources
        assert made in [str(resource.uri) for resource in resources]
        prompt = await agent.get_prompt("args-prompt", {"city": "Lyon"})
        assert "Lyon" in prompt.messages[0].content.text  # type: ignore[union-attr]  # a text
        await refused(agent, "get-env", {})
    assert real.calls("everything", "get-env") == 0


async def test_progress_of_a_long_operation(real: RealServers, era: str) -> None:
    """Progress of a server arrives while it works."""
    seen: list[float] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        seen.append(progress)

    async with client(real, era, "everything") as agent:
        arguments = {"duration": 1, "steps": 3}
        name = "trigger-long-running-operation"
        done = await agent.call_tool(name, arguments, progress_callback=note)
    assert not done.is_error
    assert seen == [1, 2, 3]


async def test_git(real: RealServers, era: str) -> None:
    """A commit is in the repository; another repository is out of reach."""
    (real.repository / f"{era}.txt").write_text(era)
    real.git("add", f"{era}.txt")
    here = {"repo_path": str(real.repository)}
    async with client(real, era, "git") as agent:
        assert await names(agent) == ["git_commit", "git_status"]
        assert f"{era}.txt" in text_of(await agent.call_tool("git_status", here))
        done = await agent.call_tool("git_commit", here | {"message": f"by {era}"})
        assert not done.is_error
        assert real.git("log", "-1", "--format=%s").strip() == f"by {era}"
        before = real.calls("git", "git_status")
        reasons = await refused(agent, "git_status", {"repo_path": str(real.directory)})
        assert "path-outside-workspace" in reasons
    assert real.calls("git", "git_status") == before


async def test_time(real: RealServers, era: str) -> None:
    """The clock is read; an argument policy does not list is refused."""
    async with client(real, era, "clock") as agent:
        assert await names(agent) == ["convert_time", "get_current_time"]
        now = await agent.call_tool("get_current_time", {"timezone": "UTC"})
        assert "UTC" in text_of(now)
        arguments = {"source_timezone": "UTC", "time": "12:00", "target_timezone": "UTC"}
        assert "12:00" in text_of(await agent.call_tool("convert_time", arguments))
        before = real.calls("clock", "convert_time")
        await refused(agent, "convert_time", arguments | {"target_timezone": "Asia/Tokyo"})
    assert real.calls("clock", "convert_time") == before


async def test_fetch(real: RealServers, era: str) -> None:
    """A page of a listed host is fetched; of another host not a byte is asked for."""
    async with client(real, era, "web") as agent:
        assert await names(agent) == ["fetch"]
        got = await agent.call_tool("fetch", {"url": f"{real.page.url}/{era}", "raw": True})
        assert "the words of a page" in text_of(got)
        asked = [request.path for request in real.page.received]
        assert f"/{era}" in asked
        elsewhere = f"http://localhost:{real.page.port}/secret"
        await refused(agent, "fetch", {"url": elsewhere})
    assert [request.path for request in real.page.received] == asked


async def test_all_of_them_under_one_endpoint(real: RealServers, era: str) -> None:
    """`/mcp` offers every server's tools under `server__tool`."""
    async with connected(real.gateway, era) as agent:
        listed = await names(agent)
        assert {name.partition("__")[0] for name in listed} >= {"git", "clock", "web"}
        now = await agent.call_tool("clock__get_current_time", {"timezone": "UTC"})
        assert "UTC" in text_of(now)
