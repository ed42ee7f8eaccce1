"""A real `detent serve` in its own process, with the product's own policies and test tools."""

import asyncio
import copy
import json
import os
import re
import shutil
import signal
import ssl
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
import yaml

from proxy.model.token import TokenKind, new_token, token_sha256

ROOT = Path(__file__).parents[2]
READY = re.compile(rb"agents on (https?://[\d.]+:\d+), operators on (https?://[\d.]+:\d+)")
START_S = 90

TEXT = {"type": "string"}
ECHO_SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "properties": {"text": TEXT, "n": {"type": "number"}, "data": {}},
}
WRITE_ALL = ["text", "n", "data"]
ECHO: dict[str, Any] = {"body": WRITE_ALL, "input_schema": ECHO_SCHEMA}


def http_tool(method: str, path: str, effect: str, **more: Any) -> dict[str, Any]:
    """Return a manifest entry of an HTTP tool."""
    http: dict[str, Any] = {"method": method, "path": path}
    placed = ("query", "body", "headers", "names", "route")
    http |= {key: more.pop(key) for key in placed if key in more}
    return {
        "effect": effect,
        "recovery": "probe",
        "risk": 1,
        "timeout": "20s",
        "returns": "trusted",
        "credential": {"broker": "none"},
        "description": f"{method} {path}",
        "input_schema": {"type": "object", "additionalProperties": False, "properties": {}},
        "http": http,
    } | more


REC_TOOLS: dict[str, Any] = {
    "write": http_tool("POST", "/write", "write", **ECHO),
    "opaque": http_tool("POST", "/write", "write", recovery="opaque", route=False, **ECHO),
    "read": http_tool("GET", "/read", "read"),
    "get_with_effect": http_tool("GET", "/trigger", "write"),
    "hold": http_tool("POST", "/hold", "write", **ECHO),
    "hold_read": http_tool("GET", "/hold", "read"),
    "drop": http_tool("POST", "/drop", "irreversible", **ECHO),
    "leak": http_tool("GET", "/leak", "read", returns="untrusted"),
    "item": http_tool(
        "GET",
        "/items/{id}",
        "read",
        input_schema={
            "type": "object",
            "additionalProperties": False,
            "properties": {"id": TEXT},
            "required": ["id"],
        },
    ),
}


@dataclass
class World:
    """What a gateway is started with; a test changes it before the start."""

    directory: Path
    recorder_url: str
    tools: dict[str, dict[str, Any]] = field(
        default_factory=lambda: {"rec": copy.deepcopy(REC_TOOLS)}
    )
    roles: dict[str, Any] = field(default_factory=lambda: {"tester": {"tools": ["*/*"]}})
    budgets: dict[str, Any] = field(
        default_factory=lambda: {
            "default": {"session_risk": 100_000, "agent_risk": 1_000_000, "window_s": 3600}
        }
    )
    settings: dict[str, Any] = field(default_factory=dict)
    servers: dict[str, Any] = field(default_factory=dict)
    environ: dict[str, str] = field(default_factory=dict)
    program: tuple[str, ...] = ("proxy",)
    deadline: str = "2s"
    agent_token: str = field(default_factory=lambda: new_token(TokenKind.AGENT))
    other_token: str = field(default_factory=lambda: new_token(TokenKind.AGENT))
    operator_token: str = field(default_factory=lambda: new_token(TokenKind.OPERATOR))

    @property
    def bundle(self) -> Path:
        """Where the policies are."""
        return self.directory / "policies"

    @property
    def database(self) -> Path:
        """Where the ledger is."""
        return self.directory / "var" / "detent.db"

    def write(self) -> Path:
        """Write bundle and settings; return the settings file."""
        if not self.bundle.exists():
            shutil.copytree(
                ROOT / "policies", self.bundle, ignore=shutil.ignore_patterns("tools", "suites")
            )
        for server, tools in self.tools.items():
            self.data(f"tools/{server}", tools)
        self.data("roles", self.roles)
        self.data("budgets", self.budgets)
        file = self.directory / "detent.yaml"
        file.write_text(yaml.safe_dump(self._settings()))
        return file

    def data(self, place: str, value: Mapping[str, Any]) -> None:
        """Write one `data.yaml` of the bundle."""
        folder = self.bundle / place
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "data.yaml").write_text(json.dumps(dict(value)))

    def _identity(self) -> dict[str, Any]:
        agents = [("tester", "acme", self.agent_token), ("other", "globex", self.other_token)]
        roles = ["kill", "lift", "view", "approve", "policy"]
        operator = {"name": "oncall", "roles": roles, "tenants": ["*"]}
        return {
            "agents": [
                {
                    "name": name,
                    "tenant": tenant,
                    "roles": ["tester"],
                    "token_sha256": token_sha256(token),
                }
                for name, tenant, token in agents
            ],
            "operators": [operator | {"token_sha256": token_sha256(self.operator_token)}],
        }

    def _settings(self) -> dict[str, Any]:
        return {
            "store": "sqlite:///var/detent.db",
            "listen": {"agents": "127.0.0.1:0", "operators": "127.0.0.1:0"},
            "policy": {"bundle": "policies", "deadline": self.deadline},
            "identity": self._identity(),
            "servers": {
                "rec": {"http": {"base_url": self.recorder_url}, "allow_private": True},
                **self.servers,
            },
            "drain": "2s",
        } | self.settings


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

    async def _end(self, number: signal.Signals) -> int:
        process = self._process
        if process is None:
            return 0
        if process.returncode is None:
            process.send_signal(number)
        try:
            code = await asyncio.wait_for(process.wait(), 15)
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
