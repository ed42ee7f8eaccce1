"""A real `detent serve` in its own process, with the product's own policies and test tools."""

import asyncio
import json
import os
import re
import signal
import ssl
import sys
import time
from types import TracebackType
from typing import Any, Self

import aiohttp

from tests.harness.world import ROOT, World

READY = re.compile(rb"agents on (https?://[\d.]+:\d+), operators on (https?://[\d.]+:\d+)")
START_S = 90
END_S = 60


class Gateway:
    """The running process, and clients for both of its ports."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.agents = ""
        self.operators = ""
        self.log: list[bytes] = []
        self.trust: ssl.SSLContext | bool = True
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    @property
    def pid(self) -> int:
        """The process id."""
        assert self._process is not None
        return self._process.pid

    @property
    def http(self) -> aiohttp.ClientSession:
        """A client with no credentials of its own."""
        assert self._http is not None
        return self._http

    @property
    def text(self) -> str:
        """Everything it has written to stderr."""
        return b"".join(self.log).decode(errors="replace")

    async def wrote(self, told: str, within_s: float = 10) -> bool:
        """Whether it writes this to stderr: what it logs may come after what it answers."""
        deadline = time.monotonic() + within_s
        while told not in self.text:
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(0.01)
        return True

    def command(self) -> tuple[list[str], dict[str, str]]:
        """Write the settings; return the arguments of `detent` and its environment."""
        file = self.world.write()
        return ["serve", "--config", str(file)], {**os.environ, **self.world.environ}

    async def start(self) -> None:
        """Start and wait until both ports answer; on failure show the log."""
        arguments, environ = self.command()
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", *self.world.program, *arguments,
            stderr=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            env=environ,
            cwd=ROOT,
        )  # fmt: skip
        ready = asyncio.Event()
        self._reading = asyncio.create_task(self._read(ready))
        try:
            async with asyncio.timeout(START_S):
                await ready.wait()
        except TimeoutError:
            await self.kill9()
            raise RuntimeError(f"detent serve was not ready in time:\n{self.text}") from None
        if not self.agents:
            code = await self._process.wait()
            raise RuntimeError(f"detent serve ended with {code}:\n{self.text}")
        timeout = aiohttp.ClientTimeout(total=30)
        connector = aiohttp.TCPConnector(limit=0, ssl=self.trust)
        self._http = aiohttp.ClientSession(timeout=timeout, connector=connector)

    async def stop(self) -> int:
        """SIGTERM, wait; SIGKILL what does not end."""
        if self._http is not None:
            await self._http.close()
        return await self._end(signal.SIGTERM)

    async def kill9(self) -> None:
        """End it without warning."""
        if self._http is not None:
            await self._http.close()
        await self._end(signal.SIGKILL)

    async def dies(self, within_s: float) -> bool:
        """Wait for an end that somebody else brings; return whether it was SIGKILL, in time."""
        assert self._process is not None
        try:
            code = await asyncio.wait_for(self._process.wait(), within_s)
        except TimeoutError:
            return False
        return code == -signal.SIGKILL

    async def _end(self, number: signal.Signals) -> int:
        process = self._process
        if process is None:
            return 0
        if process.returncode is None:
            process.send_signal(number)
        try:
            code = await asyncio.wait_for(process.wait(), END_S)
        except TimeoutError:
            process.kill()
            code = await process.wait()
        if self._reading is not None:
            await self._reading
        return code

    async def _read(self, ready: asyncio.Event) -> None:
        assert self._process is not None
        assert self._process.stderr is not None
        while line := await self._process.stderr.readline():
            self.log.append(line)
            if found := READY.search(line):
                self.agents, self.operators = (part.decode() for part in found.groups())
                ready.set()
        ready.set()

    async def ask(
        self, method: str, path: str, body: Any = None, *, token: str = "", **more: Any
    ) -> tuple[int, Any]:
        """Ask the agents' port; return status and JSON."""
        return await self._ask(
            method, self.agents + path, body, token or self.world.agent_token, more
        )

    async def operate(
        self, method: str, path: str, body: Any = None, *, token: str = "", **more: Any
    ) -> tuple[int, Any]:
        """Ask the operators' port; return status and JSON."""
        url = self.operators + path
        return await self._ask(method, url, body, token or self.world.operator_token, more)

    async def call(self, tool: str, arguments: Any = None, **more: Any) -> tuple[int, Any]:
        """Call a tool of the recorder through `POST /v1/calls`."""
        token = more.pop("token", "")
        server = more.pop("server", "rec")
        body = {"server": server, "tool": tool, "arguments": arguments or {}} | more
        return await self.ask("POST", "/v1/calls", body, token=token)

    async def _ask(
        self, method: str, url: str, body: Any, token: str, more: dict[str, Any]
    ) -> tuple[int, Any]:
        assert self._http is not None
        headers = {"Authorization": f"Bearer {token}"} | more.pop("headers", {})
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        if data is not None:
            headers.setdefault("Content-Type", "application/json")
        async with self._http.request(method, url, data=data, headers=headers, **more) as answer:
            raw = await answer.read()
            return answer.status, json.loads(raw) if raw else None
