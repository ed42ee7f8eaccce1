"""I21: what an agent is shown is what it may call, whatever has happened to tools and agents."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.app.assemble import Assembled
from proxy.errors import Refused
from proxy.model.call import Door, ToolCall
from proxy.model.kill import GLOBAL, Scope, ScopeKind
from proxy.model.ledger import Outcome
from proxy.model.session import Mode
from proxy.pipeline.authenticate import Caller
from proxy.pipeline.sessions import SessionRequest
from tests.harness.assembled import build
from tests.harness.changing_mcp import DEFINITION, ChangingMcp, pin_of
from tests.harness.world import World, http_tool

NAMES = ("lookup", "Lookup", "send", "wipe", "keyed")
SERVERS = ("one", "two")
EFFECTS = {"lookup": "read", "Lookup": "read", "send": "write", "wipe": "irreversible"}
PATTERNS = ("*/*", "one/*", "two/lookup", "*/send", "rec/read", "one/wipe", "two/keyed")
ODD = st.sampled_from(["missing", "drifted", "twice", "no-schema"])


@dataclass
class State:
    """What the world is like in one example."""

    roles: list[str]
    unreviewed: set[tuple[str, str]]
    odd: dict[tuple[str, str], str]
    mode: Mode
    killed: set[tuple[str, str]]
    dry_run: bool
    locked: bool


TOOLS = st.tuples(st.sampled_from(SERVERS), st.sampled_from(NAMES))
STATES = st.builds(
    State,
    roles=st.just(["*/*"]) | st.lists(st.sampled_from(PATTERNS), max_size=3, unique=True),
    unreviewed=st.sets(TOOLS, max_size=3),
    odd=st.dictionaries(TOOLS, ODD, max_size=3),
    mode=st.sampled_from(Mode),
    killed=st.sets(TOOLS, max_size=3),
    dry_run=st.booleans(),
    locked=st.integers(0, 7).map(lambda one: one == 0),
)


def wire(name: str) -> dict[str, Any]:
    return DEFINITION | {"name": name}


def listed(name: str, kind: str) -> list[dict[str, Any]]:
    """Return what a server lists of one tool."""
    if kind == "missing":
        return []
    changed: dict[str, dict[str, Any]] = {
        "drifted": {"title": "Other"},
        "no-schema": {"inputSchema": 7},
    }
    return [wire(name) | changed.get(kind, {})] * (2 if kind == "twice" else 1)


def entry(name: str) -> dict[str, Any]:
    """Return the manifest entry of a tool; a `keyed` one wants a credential nobody lends."""
    broker = {"broker": "nobody"} if name == "keyed" else {"broker": "none"}
    rest = {"recovery": "probe", "risk": 1, "timeout": "5s", "returns": "trusted"}
    effect = EFFECTS.get(name, "read")
    return {"pin": pin_of(wire(name)), "effect": effect, "credential": broker} | rest


class House:
    """A whole gateway in a loop of its own, which examples change one after the other."""

    def __init__(self, directory: Path) -> None:
        self.world = World(directory, "http://127.0.0.1:9")
        self.world.tools["rec"] = {"read": http_tool("GET", "/read", "read")}
        self.servers: dict[str, ChangingMcp] = {}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Assembled]:
        """Run servers and gateway until the block ends."""
        self.servers = {name: await ChangingMcp().start() for name in SERVERS}
        for name, server in self.servers.items():
            self.world.tools[name] = {one: entry(one) for one in NAMES}
            self.world.servers[name] = {"mcp": {"url": server.url}, "allow_private": True}
        built = build(self.world)
        try:
            await built.gateway.start()
            yield built
        finally:
            await built.gateway.stop()
            built.cleanup()
            for server in self.servers.values():
                await server.stop()

    async def become(self, built: Assembled, state: State) -> None:
        """Make the world what the example says."""
        for name, server in self.servers.items():
            wires = [
                one for tool in NAMES for one in listed(tool, state.odd.get((name, tool), "same"))
            ]
            server.by_list = lambda _, wires=wires: wires
            reviewed = {tool: entry(tool) for tool in NAMES if (name, tool) not in state.unreviewed}
            self.world.data(f"tools/{name}", reviewed)
        self.world.data("roles", {"tester": {"tools": state.roles}})
        await built.gateway.reload_policy()
        store, now = built.gateway.parts.store, datetime.now(UTC)
        await store.set_dry_run(GLOBAL, state.dry_run, "oncall", now)
        await store.unlock_agent("acme", "tester")
        if state.locked:
            await store.lock_agent("acme", "tester", "canary", now)


async def visible(built: Assembled, caller: Caller) -> set[tuple[str, str]]:
    """Return the tools of the list; none when there is no list."""
    try:
        tools = await built.pipeline.visible(caller, None)
    except Refused:
        return set()
    return {(tool.server, tool.definition.name) for tool in tools}


async def callable_(built: Assembled, caller: Caller) -> set[tuple[str, str]]:
    """Return the tools whose calls are not refused; a preview asks everything and does nothing."""
    found = set()
    for server, tool in [*((one, name) for one in SERVERS for name in NAMES), ("rec", "read")]:
        arguments = b"{}" if server == "rec" else json.dumps({"q": "x"}).encode()
        call = ToolCall(server, tool, arguments, Door.CALLS, dry_run=True)
        answer = await built.pipeline.run(caller, call)
        if answer.outcome is not Outcome.DENIED:
            found.add((server, tool))
    return found


async def agree(house: House, built: Assembled, state: State) -> None:
    """Compare list and calls of one state, with kills and after they are lifted."""
    await house.become(built, state)
    await built.gateway.parts.store.unlock_agent("acme", "tester")
    request = SessionRequest(mode=state.mode)
    session = await built.pipeline.open_session(house.world.agent_token, request)
    caller = await built.pipeline.authenticate(session.token)
    if state.locked:
        await built.gateway.parts.store.lock_agent("acme", "tester", "x", datetime.now(UTC))
    scopes = tuple(Scope(ScopeKind.TOOL, f"{one}/{tool}") for one, tool in state.killed)
    kill = built.gateway.parts.kill_switch
    report = await kill.kill(scopes, "oncall", "test") if scopes else None
    assert await visible(built, caller) == await callable_(built, caller)
    if report is not None:
        assert report.epoch is not None
        await kill.lift(report.epoch, "oncall", "test over")
    assert await visible(built, caller) == await callable_(built, caller)
    await built.pipeline.end_session(caller, session.session.id)


class Runner:
    """Runs the examples in the loop in which the gateway lives."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.runner = asyncio.Runner()
        self._running = house.running()
        self.built = self.runner.run(self._running.__aenter__())

    def agree(self, state: State) -> None:
        self.runner.run(agree(self.house, self.built, state))

    def close(self) -> None:
        self.runner.run(self._running.__aexit__(None, None, None))
        self.runner.close()


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    """A gateway that lives as long as all examples."""
    runner = Runner(House(tmp_path_factory.mktemp("house")))
    yield runner
    runner.close()


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(state=STATES)
def test_a_tool_is_listed_if_and_only_if_its_calls_are_not_refused(
    runner: Runner, state: State
) -> None:
    """For reasons that lie in the arguments alone nothing is hidden; for all others it is."""
    runner.agree(state)


@pytest.mark.slow
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(state=STATES)
def test_the_same_many_times(runner: Runner, state: State) -> None:
    """More states than a short run has time for."""
    runner.agree(state)
