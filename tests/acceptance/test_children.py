"""Children see nothing of ours and never outlive us."""

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.harness.gateway import Gateway
from tests.harness.processes import children_of, command_of, environment_of, is_alive, until_gone
from tests.harness.world import ROOT, World

GIT_SERVER = str(Path(sys.executable).parent / "mcp-server-git")


@pytest.fixture
def with_git(world: World, tmp_path: Path) -> World:
    """A gateway with a stdio server of its own uid, if it may change uids."""
    server: dict[str, Any] = {"mcp": {"command": [GIT_SERVER]}}
    if os.geteuid() == 0 and _others_can_read(Path(sys.executable)):
        server["user"] = "nobody"
    world.servers = {"repo": server}
    world.environ = {"DETENT_OPERATOR_TOKEN": "dto_secret-of-ours", "AWS_SECRET": "also-ours"}
    return world


def _others_can_read(path: Path) -> bool:
    """Whether another uid could run this interpreter at all."""
    return all(parent.stat().st_mode & 0o005 == 0o005 for parent in path.resolve().parents)


async def test_no_child_sees_our_environment(with_git: World) -> None:
    """Neither OPA nor a tool server gets a variable that is not its own."""
    async with Gateway(with_git) as gateway:
        children = children_of(gateway.pid)
        assert len(children) >= 2
        for child in children:
            assert "DETENT_" not in environment_of(child)
            assert "AWS_SECRET" not in environment_of(child)


async def test_no_child_inherits_a_descriptor(with_git: World) -> None:
    """The tool server has its pipes and what it opened itself, nothing of ours."""
    async with Gateway(with_git) as gateway:
        servers = [pid for pid in children_of(gateway.pid) if "mcp-server-git" in command_of(pid)]
        for pid in servers:
            opened = [_target(fd) for fd in Path(f"/proc/{pid}/fd").iterdir()]
            assert not [name for name in opened if "detent.db" in name]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_no_child_outlives_the_gateway(with_git: World, number: signal.Signals) -> None:
    """Killed or ended, it takes all of them along."""
    gateway = Gateway(with_git)
    await gateway.start()
    children = children_of(gateway.pid)
    assert len(children) >= 2
    await (gateway.kill9() if number is signal.SIGKILL else gateway.stop())
    await until_gone(children)


async def test_a_failed_start_leaves_no_child(with_git: World, tmp_path: Path) -> None:
    """What had started before the failure is stopped."""
    opa = tmp_path / "opa"
    opa.write_text('#!/bin/sh\nif [ "$1" = run ]; then exit 7; fi\nexec opa "$@"\n')
    opa.chmod(0o755)
    with_git.settings = {"policy": {"bundle": "policies", "opa": str(opa)}}
    before = set(children_of(os.getpid()))
    with pytest.raises(RuntimeError, match="ended with"):
        await Gateway(with_git).start()
    left = [pid for pid in set(children_of(os.getpid())) - before if is_alive(pid)]
    assert left == []
    assert _strays(tmp_path) == []


async def test_a_server_that_dies_comes_back(with_git: World) -> None:
    """Supervised: a crash of the tool is not the end of its tools."""
    async with Gateway(with_git) as gateway:
        (pid,) = [
            pid for pid in children_of(gateway.pid) if command_of(pid).split()[1:2] == [GIT_SERVER]
        ]
        os.kill(pid, signal.SIGKILL)
        async with asyncio.timeout(20):
            while True:
                again = [
                    found
                    for found in children_of(gateway.pid)
                    if command_of(found).split()[1:2] == [GIT_SERVER]
                ]
                if again and again != [pid]:
                    break
                await asyncio.sleep(0.05)


def _strays(directory: Path) -> list[str]:
    """Return commands of living processes that work in this directory."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        command = command_of(int(process.name))
        if str(directory) in command and "pytest" not in command and str(ROOT) not in command:
            found.append(command)
    return found


def _target(descriptor: Path) -> str:
    try:
        return str(descriptor.readlink())
    except OSError:
        return ""
