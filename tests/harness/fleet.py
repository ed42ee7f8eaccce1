"""A fleet as real processes: gateways on one PostgreSQL, relays among them, sidecars, one tool.

Every member serves an agent of its own. Where faults are wanted, a member reaches the database, or
its gateway, over a link that can be made to fail. Everything lies in one new directory, and
everything that is started is stopped, also when the start fails.
"""

import asyncio
import tempfile
from collections.abc import Awaitable, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from proxy.model.token import TokenKind, new_token, token_sha256
from tests.harness.arrivals import AUDIENCE, ISSUER, Tool
from tests.harness.gateway import Gateway
from tests.harness.postgres import ROLE, Server, database_of
from tests.harness.sidecars import TOKEN, Sidecar, free_port
from tests.harness.tcp_faults import FaultyLink
from tests.harness.world import TEXT, World, http_tool

BACK_S = 40.0  # for a member to serve again after a fault
AT_ONCE = 3  # processes that are starting
UNSTEADY = ("tests.harness.unsteady",)
_PLENTY = {"session_risk": 10**9, "agent_risk": 10**9, "window_s": 3600}
_SCHEMA = {"type": "object", "additionalProperties": False, "properties": {"text": TEXT}}
_KEYS = "/.well-known/jwks.json"
_TOKEN = {"broker": "jwt", "audience": AUDIENCE, "ceiling": ["rec:write"]}
_BODY: dict[str, Any] = {"body": ["text"], "input_schema": _SCHEMA}
TOOLS = {
    "start": http_tool("POST", "/start", "write", **_BODY),
    "warm": http_tool("POST", "/warm", "write", **_BODY),
    "fenced": http_tool("POST", "/fenced", "write", credential=_TOKEN, **_BODY),
}


@dataclass(frozen=True, slots=True)
class Plan:
    """How many of each; `linked` are the members whose way upwards can fail.

    Sidecars are attached to the relays in turn.
    """

    gateways: int = 1
    relays: int = 2
    sidecars: int = 20
    linked: tuple[str, ...] = ("gateway-1", "relay-2", "sidecar-1")
    unsteady: tuple[str, ...] = ("gateway-1", "relay-2", "sidecar-1", "sidecar-2")

    @property
    def members(self) -> tuple[str, ...]:
        """The names of all members."""
        counts = {"gateway": self.gateways, "relay": self.relays, "sidecar": self.sidecars}
        return tuple(f"{kind}-{n}" for kind, count in counts.items() for n in range(1, count + 1))


@dataclass
class _Member:
    name: str
    token: str = field(default_factory=lambda: new_token(TokenKind.AGENT))
    port: int = field(default_factory=free_port)
    attach: str = field(default_factory=lambda: new_token(TokenKind.SIDECAR))


class Fleet:
    """The processes; what a trial does with them stands elsewhere."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.tool = Tool()
        self.database = Server("track_commit_timestamp=on")
        self.members: dict[str, Gateway] = {}
        self.links: dict[str, FaultyLink] = {}
        self._of = {name: _Member(name) for name in plan.members}
        self._operator = new_token(TokenKind.OPERATOR)
        self._ledger = ""
        self._starting = asyncio.Semaphore(AT_ONCE)
        self._held = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as undo:
            undo.push_async_callback(self._held.aclose)
            await self._start()
            undo.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._held.aclose()

    def url(self, name: str) -> str:
        """Return the URL of the ledger as that member reaches it."""
        port = self.links[name].port if name in self.links else self.database.port
        return f"postgresql://{ROLE}@127.0.0.1:{port}/{self._ledger}?connections=4"

    async def query(self, statement: str) -> Any:
        """Ask the database as its administrator; return the rows."""
        return await self.database.execute(self._ledger, statement)

    async def call(self, name: str, tool: str = "start", text: str = "") -> tuple[int, Any]:
        """Call the tool through a member, as the agent that the member serves."""
        return await self.members[name].call(tool, {"text": text or name})

    async def restart(self, name: str) -> None:
        """Start a member that was killed."""
        await self.members[name].start()

    async def serving(self, within_s: float = BACK_S) -> None:
        """Return when every member's calls go through."""
        async with asyncio.timeout(within_s):
            await asyncio.gather(*(self._until_it_serves(name) for name in self.members))

    async def _until_it_serves(self, name: str) -> None:
        while (await self.call(name, "warm"))[0] != 200:
            await asyncio.sleep(0.2)

    async def _start(self) -> None:
        directory = Path(self._held.enter_context(tempfile.TemporaryDirectory("-fleet")))
        await self._held.enter_async_context(self.tool)
        self._held.callback(self.database.remove)
        await asyncio.to_thread(lambda: self.database.create().start().make_template())
        self._ledger = database_of(await asyncio.to_thread(self.database.new))
        for name in self.plan.linked:
            port = self._above(name).port if _is_sidecar(name) else self.database.port
            self.links[name] = await self._held.enter_async_context(FaultyLink(port))
        for name in self.plan.members:
            build = self._sidecar if _is_sidecar(name) else self._gateway
            self.members[name] = build(directory / name, name)
        self._held.push_async_callback(self._stop)
        gateways, sidecars = _split(self.plan.members)
        await _all(self._start_one(name) for name in gateways)
        await _all(self._start_one(name) for name in sidecars)
        await self.tool.trust((await self.members[gateways[0]].ask("GET", _KEYS))[1])

    async def _start_one(self, name: str) -> None:
        async with self._starting:
            await self.members[name].start()

    async def _stop(self) -> None:
        ends = (member.kill9() for member in self.members.values())
        await asyncio.gather(*ends, return_exceptions=True)

    def _above(self, name: str) -> _Member:
        """Return the relay a sidecar is attached to."""
        number = int(name.rpartition("-")[2])
        return self._of[f"relay-{(number - 1) % self.plan.relays + 1}"]

    def _world(self, directory: Path, name: str) -> World:
        directory.mkdir()
        world = World(directory, self.tool.url, agent_token=self._of[name].token)
        world.operator_token = self._operator
        if name in self.plan.unsteady:
            world.program = UNSTEADY
        keys = {"issuer": ISSUER, "keys": str(directory.parent / "keys")}
        world.settings = {
            "identity": _identity(self._of.values(), self._operator),
            "credentials": {"jwt": {"jwt": keys}},
        }
        return world

    def _gateway(self, directory: Path, name: str) -> Gateway:
        world = self._world(directory, name)
        world.tools = {"rec": TOOLS}
        world.budgets = {"default": _PLENTY}
        below = [one for one in self._of.values() if _is_sidecar(one.name)]
        world.settings["store"] = self.url(name)
        if name.startswith("relay"):
            ports = dict.fromkeys(("agents", "operators"), "127.0.0.1:0")
            hosts = [f"127.0.0.1:{link.port}" for link in self.links.values()]
            world.settings |= {
                "listen": ports | {"attach": f"127.0.0.1:{self._of[name].port}", "hosts": hosts},
                "attach": {"sidecars": [_attaching(one) for one in below]},
            }
        return Gateway(world)

    def _sidecar(self, directory: Path, name: str) -> Gateway:
        world = self._world(directory, name)
        world.settings["attach"] = {"token": {"env": TOKEN}}
        world.tools = {}
        world.environ = {TOKEN: self._of[name].attach}
        link = self.links.get(name)
        port = link.port if link else self._above(name).port
        return Sidecar(world, f"http://127.0.0.1:{port}")


def _is_sidecar(name: str) -> bool:
    return name.startswith("sidecar")


def _split(names: Iterable[str]) -> tuple[list[str], list[str]]:
    every = list(names)
    sidecars = [name for name in every if _is_sidecar(name)]
    return [name for name in every if name not in sidecars], sidecars


async def _all(starts: Iterable[Awaitable[None]]) -> None:
    """Wait for all of them, also when one fails: none may be left half started."""
    ended = await asyncio.gather(*starts, return_exceptions=True)
    for one in ended:
        if isinstance(one, BaseException):
            raise one


def _attaching(member: _Member) -> dict[str, Any]:
    agents = [f"acme/{member.name}"]
    return {"name": member.name, "agents": agents, "token_sha256": token_sha256(member.attach)}


def _identity(members: Iterable[_Member], operator: str) -> dict[str, Any]:
    roles = ["kill", "lift", "view"]
    oncall = {"name": "oncall", "roles": roles, "tenants": ["*"]}
    agent = {"tenant": "acme", "roles": ["tester"]}
    return {
        "agents": [
            agent | {"name": one.name, "token_sha256": token_sha256(one.token)} for one in members
        ],
        "operators": [oncall | {"token_sha256": token_sha256(operator)}],
    }
