"""The replicas of a soak: gateways on one PostgreSQL that can be killed, stopped and started."""

import asyncio
import contextlib
import os
import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp

from tests.harness.gateway import Gateway
from tests.harness.postgres import Server
from tests.harness.world import ECHO_SCHEMA, ROOT, TEXT, WRITE_ALL, World, http_tool
from tests.history.records import Outage
from tests.soak.observed import now_s

TIMEOUT_S = 5.0
_LIMIT = {"timeout": f"{TIMEOUT_S:.0f}s"}
_BODY: dict[str, Any] = {"body": WRITE_ALL, "input_schema": ECHO_SCHEMA, **_LIMIT}
_BY_ID = {
    "type": "object",
    "additionalProperties": False,
    "properties": {"id": TEXT},
    "required": ["id"],
}
_BY_TEXT = {"type": "object", "additionalProperties": False, "properties": {"text": TEXT}}
_PROBE = {
    "tool": "written",
    "arguments": {"text": "/text"},
    "expect": [{"at": "/written", "equals": True}],
    "absent": [{"at": "/written", "equals": False}],
}
TOOLS: dict[str, Any] = {
    "item": http_tool("GET", "/items/{id}", "read", input_schema=_BY_ID, **_LIMIT),
    "written": http_tool("GET", "/written", "read", query=["text"], input_schema=_BY_TEXT),
    "write": http_tool("POST", "/write", "write", probe=_PROBE, **_BODY),
    "keyed": http_tool("POST", "/keyed", "write", recovery="idempotency_key", **_BODY),
    "opaque": http_tool("POST", "/opaque", "write", recovery="opaque", **_BODY),
}


@dataclass
class Replica:
    """One of the gateways: the process of now, and what those before it left."""

    name: str
    world: World
    gateway: Gateway
    began_at: float = 0.0
    notes: list[Path] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    outages: list[Outage] = field(default_factory=list)
    is_up: bool = False

    async def start(self) -> None:
        """Start a process; its notes go to a file of their own."""
        notes = self.world.directory / f"notes-{len(self.notes)}.jsonl"
        self.notes.append(notes)
        self.world.program = ("tests.soak.observed", str(notes))
        self.began_at = now_s()
        self.gateway = Gateway(self.world)
        await self.gateway.start()
        self.is_up = True

    async def end(self) -> None:
        """Stop the process as an operator would."""
        self.is_up = False
        await self.gateway.stop()
        self.said.append(self.gateway.text)

    async def restart(self, down_s: float) -> None:
        """Kill it, leave it dead for a while, start another."""
        begin, self.is_up = now_s(), False
        os.kill(self.gateway.pid, signal.SIGKILL)
        await asyncio.sleep(0.1)  # its clients see that it is gone
        await self.gateway.kill9()
        self.said.append(self.gateway.text)
        await asyncio.sleep(down_s)
        await self.start()
        self.outages.append(Outage(begin, now_s(), self.name, "down"))

    async def pause(self, for_s: float) -> None:
        """Stop it between any two instructions, and let it go on."""
        begin = now_s()
        os.kill(self.gateway.pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(for_s)
        finally:
            os.kill(self.gateway.pid, signal.SIGCONT)
            self.outages.append(Outage(begin, now_s(), self.name, "paused"))


class Fleet:
    """PostgreSQL, a tool, and so many replicas, in one directory."""

    def __init__(self, directory: Path, count: int) -> None:
        self.directory = directory
        self.postgres = Server()
        self.url = ""
        self.arrivals = directory / "arrivals.jsonl"
        self.replicas: list[Replica] = []
        self._count = count
        self._tool: asyncio.subprocess.Process | None = None
        self._exits = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as undo:
            undo.callback(self.postgres.remove)
            await asyncio.to_thread(lambda: self.postgres.create().start().make_template())
            self.url = self.postgres.new()
            port = await self._start_tool()
            undo.push_async_callback(self._stop_tool)
            worlds = [self._world(n, port) for n in range(self._count)]
            for world in worlds[1:]:
                world.agent_token, world.other_token = worlds[0].agent_token, worlds[0].other_token
                world.operator_token = worlds[0].operator_token
            for n, world in enumerate(worlds):
                replica = Replica(f"r{n}", world, Gateway(world))
                await replica.start()
                undo.push_async_callback(replica.end)
                self.replicas.append(replica)
            self._exits = undo.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._exits.aclose()

    @property
    def up(self) -> list[Replica]:
        """The replicas that have a process that answers."""
        return [one for one in self.replicas if one.is_up]

    async def restart_postgres(self, mode: str, down_s: float) -> None:
        """Stop the database, `fast` or `immediate` as in a crash, and start it again."""
        await asyncio.to_thread(self.postgres.stop, mode)
        await asyncio.sleep(down_s)
        await asyncio.to_thread(self.postgres.start)

    async def operate(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Ask the first replica that answers; 0 when none does."""
        for replica in self.up:
            with contextlib.suppress(aiohttp.ClientError, TimeoutError, RuntimeError):
                return await replica.gateway.operate(method, path, body)
        return 0, None

    def _world(self, number: int, port: int) -> World:
        directory = self.directory / f"r{number}"
        directory.mkdir()
        world = World(directory, f"http://127.0.0.1:{port}", tools={"rec": TOOLS})
        world.settings = {"store": self.url}
        return world

    async def _start_tool(self) -> int:
        self._tool = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.soak.tool", str(self.arrivals),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, cwd=ROOT,
        )  # fmt: skip
        assert self._tool.stdout is not None
        return int(await asyncio.wait_for(self._tool.stdout.readline(), 60))

    async def _stop_tool(self) -> None:
        assert self._tool is not None
        assert self._tool.stdin is not None
        self._tool.stdin.close()
        await self._tool.wait()
