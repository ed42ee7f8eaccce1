"""Six real MCP servers behind one gateway, each with a reviewed draft as its manifest.

Three are npm packages (installed by `make conformance`; left out where they are not), three come
from PyPI. All run over stdio with their input kept, so a test sees what reached them.
"""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.harness.gateway import Gateway
from tests.harness.manifests import drafted, methods
from tests.harness.node import NotInstalled, mcp_server
from tests.harness.recorder import Recorder
from tests.harness.tapped import heard, tapped
from tests.harness.world import World

TOKENS = {"returns": "trusted", "recovery": "probe", "timeout": "20s"}
READ = TOKENS | {"effect": "read", "risk": 1}
WRITE = TOKENS | {"effect": "write", "risk": 2}


def within(workspace: str, argument: str) -> dict[str, Any]:
    """Return the review that keeps a path argument in a workspace."""
    return {"constraints": [{"argument": argument, "path_within": [f"${workspace}"]}]}


# What a person let stand of the drafts: a tool that is not here does not exist.
REVIEWS: dict[str, dict[str, dict[str, Any]]] = {
    "files": {
        "list_directory": READ | within("notes", "path"),
        "read_text_file": READ | within("notes", "path"),
        "write_file": WRITE | within("notes", "path"),
    },
    "memory": {
        "read_graph": READ,
        "create_entities": WRITE,
        "delete_entities": WRITE,
    },
    "everything": {
        "echo": READ,
        "get-sum": READ,
        "gzip-file-as-resource": WRITE,
        "trigger-long-running-operation": READ,
    },
    "git": {
        "git_status": READ | within("repository", "repo_path"),
        "git_commit": WRITE | within("repository", "repo_path"),
    },
    "clock": {
        "get_current_time": READ,
        "convert_time": READ
        | {"constraints": [{"argument": "target_timezone", "one_of": ["UTC"]}]},
    },
    "web": {
        "fetch": READ | {"constraints": [{"argument": "url", "host_in": ["127.0.0.1"]}]},
    },
}
METHODS = (
    "completion/complete",
    "prompts/get",
    "prompts/list",
    "resources/list",
    "resources/read",
    "resources/templates/list",
)
ROLE = [
    *(f"{server}/*" for server in ("files", "everything", "git", "clock", "web")),
    *("everything/*/*", "everything/*/*/*", "memory/read_graph", "memory/create_entities"),
]
WRITERS = ["files/write_file", "memory/create_entities", "git/git_commit"]
NPM_SERVERS = {"files": "filesystem", "memory": "memory", "everything": "everything"}


@dataclass(frozen=True, slots=True)
class RealServers:
    """The running gateway, and each server's own state."""

    gateway: Gateway
    directory: Path
    page: Recorder
    missing: dict[str, str]

    @property
    def notes(self) -> Path:
        """The one folder of server-filesystem that policy lets agents use."""
        return self.directory / "files" / "notes"

    @property
    def graph(self) -> Path:
        """Where server-memory keeps its graph."""
        return self.directory / "graph.jsonl"

    @property
    def repository(self) -> Path:
        """The repository of mcp-server-git."""
        return self.directory / "repository"

    def git(self, *arguments: str) -> str:
        """Ask the repository itself."""
        return _git(self.repository, *arguments)

    def calls(self, server: str, tool: str) -> int:
        """Count the calls of a tool that reached its server."""
        return heard(self.directory / f"{server}.log").count(tool)


@asynccontextmanager
async def running(directory: Path) -> AsyncIterator[RealServers]:
    """Run all that are installed behind one gateway."""
    page = await Recorder(reply={"page": "the words of a page"}).start()
    try:
        _begin(directory)
        commands, missing = _commands(directory)
        world = World(directory / "world", page.url)
        world.directory.mkdir()
        world.tools.clear()
        world.servers = {
            name: {
                "mcp": {"command": tapped(directory / f"{name}.log", command)},
                "env": {"MEMORY_FILE_PATH": str(directory / "graph.jsonl"), "TZ": "UTC"},
            }
            for name, command in commands.items()
        }
        await _review(world, directory)
        async with Gateway(world) as gateway:
            yield RealServers(gateway, directory, page, missing)
    finally:
        await page.stop()


async def _review(world: World, directory: Path) -> None:
    """Draft every manifest, keep what was reviewed, and say who may call what."""
    drafts = await asyncio.gather(*(drafted(world, name) for name in world.servers))
    for name, draft in zip(world.servers, drafts, strict=True):
        world.tools[name] = {tool: draft[tool] | review for tool, review in REVIEWS[name].items()}
    if "everything" in world.servers:
        world.tools["everything"] |= methods(*METHODS)
    world.roles = {"tester": {"tools": ROLE}}
    world.write()
    world.data("destinations", {"tools": WRITERS})
    places = {"notes": directory / "files/notes", "repository": directory / "repository"}
    world.data("workspaces", {name: str(place) for name, place in places.items()})


def _commands(directory: Path) -> tuple[dict[str, list[str]], dict[str, str]]:
    """Return the command of each server, and why some have none."""
    scripts = Path(sys.executable).parent
    commands = {
        "git": [str(scripts / "mcp-server-git"), "--repository", str(directory / "repository")],
        "clock": [str(scripts / "mcp-server-time"), "--local-timezone", "UTC"],
        "web": [str(scripts / "mcp-server-fetch"), "--allow-private-ips"],
    }
    missing = {
        name: f"{command[0]} is not installed"
        for name, command in commands.items()
        if not Path(command[0]).exists()
    }
    commands = {name: command for name, command in commands.items() if name not in missing}
    for name, package in NPM_SERVERS.items():
        try:
            commands[name] = mcp_server(package, *_arguments(name, directory))
        except NotInstalled as error:
            missing[name] = str(error)
    return commands, missing


def _arguments(name: str, directory: Path) -> list[str]:
    """Return what an npm server is started with."""
    return [str(directory / "files")] if name == "files" else []


def _begin(directory: Path) -> None:
    """Give the servers something to begin with."""
    notes, repository = directory / "files/notes", directory / "repository"
    notes.mkdir(parents=True)
    (notes / "first.txt").write_text("what was there before\n")
    repository.mkdir()
    _git(repository, "init", "-q", "-b", "main")
    _git(repository, "config", "user.email", "loop@example.org")
    _git(repository, "config", "user.name", "loop")
    _git(repository, "commit", "-q", "--allow-empty", "-m", "begin")


def _git(repository: Path, *arguments: str) -> str:
    command = ["git", "-C", str(repository), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
