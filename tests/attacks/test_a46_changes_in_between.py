"""A46: kill, lock, budget or policy changes after a call was allowed and before it is sent.

The whole gateway in this process, with real OPA, ledger and tool, held at one place of the walk.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from credentials.base import Lease, LeaseRequest
from credentials.static_broker import StaticBroker
from proxy.app.assemble import Assembled
from proxy.killswitch.inflight import InFlight
from proxy.model.kill import GLOBAL, Scope, ScopeKind
from proxy.pdp.base import QueryAnswer
from proxy.pdp.managed_opa import ManagedOpa
from proxy.stores.sqlite.store import SqliteStore
from tests.harness.assembled import build
from tests.harness.recorder import Recorder
from tests.harness.world import World, http_tool

PLACES = ["decided", "lent", "sending"]
OPAQUE = {"recovery": "opaque", "credential": {"broker": "key", "allow_writes": True}}


@dataclass
class Held:
    """Holds the first call that comes to `place`, until it is let go."""

    place: str = ""
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    let_go: asyncio.Event = field(default_factory=asyncio.Event)
    revoked: list[str] = field(default_factory=list)

    async def at(self, place: str) -> None:
        if place == self.place and not self.reached.is_set():
            self.reached.set()
            await self.let_go.wait()


@dataclass
class House:
    """The gateway behind its port, and the place it is held at."""

    assembled: Assembled
    held: Held
    http: httpx.AsyncClient

    async def call(self, token: str = "") -> tuple[int, str]:
        """Call the tool; return status and the first reason."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        body = {"server": "rec", "tool": "careful", "arguments": {}}
        answer = await self.http.post("/v1/calls", json=body, headers=headers)
        document = answer.json()
        reasons = document.get("reasons") or [{"id": document.get("code", "")}]
        return answer.status_code, reasons[0]["id"]

    async def held_call(self, token: str = "") -> asyncio.Task[tuple[int, str]]:
        """Begin a call and return once it is where it is held."""
        call = asyncio.create_task(self.call(token))
        async with asyncio.timeout(10):
            await self.held.reached.wait()
        return call


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Held:
    """Places to hold a call at: after the decision, after the mint, right before the send."""
    held = Held()
    query, mint, mark = ManagedOpa.query, StaticBroker.mint, SqliteStore.mark_sending

    async def decided(self: ManagedOpa, path: str, body: bytes, deadline_s: float) -> QueryAnswer:
        answer = await query(self, path, body, deadline_s)
        await held.at("decided")
        return answer

    async def lent(self: StaticBroker, request: LeaseRequest) -> Lease:
        lease = await mint(self, request)
        await held.at("lent")
        return lease

    async def sending(self: SqliteStore, step_id: str) -> None:
        await mark(self, step_id)
        await held.at("sending")

    async def revoked(self: StaticBroker, lease_id: str) -> None:
        held.revoked.append(lease_id)

    monkeypatch.setattr(ManagedOpa, "query", decided)
    monkeypatch.setattr(StaticBroker, "mint", lent)
    monkeypatch.setattr(StaticBroker, "revoke", revoked)
    monkeypatch.setattr(SqliteStore, "mark_sending", sending)
    return held


@pytest.fixture
async def house(world: World, held: Held) -> AsyncIterator[House]:
    """A gateway with one tool that needs a credential; an agent may spend one point."""
    world.tools["rec"] = {"careful": http_tool("POST", "/write", "write", **OPAQUE)}
    world.budgets = {"default": {"session_risk": 1, "agent_risk": 1, "window_s": 3600}}
    key = {"header": "X-Api-Key", "secret": {"file": "key"}, "allow_writes": True}
    (world.directory / "key").touch(0o600)
    (world.directory / "key").write_text("a-key-of-the-tool")
    world.settings = {"credentials": {"key": {"static": key}}}
    assembled = build(world)
    await assembled.gateway.start()
    servers = assembled.bind()
    await servers.start()
    headers = {"Authorization": f"Bearer {world.agent_token}"}
    base = f"http://{servers.addresses[0]}"
    async with httpx.AsyncClient(base_url=base, headers=headers, timeout=20) as http:
        yield House(assembled, held, http)
    await servers.stop()
    await assembled.gateway.stop()
    assembled.cleanup()


SCOPES = [
    GLOBAL,
    Scope(ScopeKind.TENANT, "acme"),
    Scope(ScopeKind.AGENT, "acme/tester"),
    Scope(ScopeKind.TOOL, "rec/careful"),
]


@pytest.mark.parametrize("is_lifted", [False, True])
@pytest.mark.parametrize("is_cut", [False, True])
@pytest.mark.parametrize("place", PLACES)
async def test_a_kill_in_between_is_found(
    house: House,
    recorder: Recorder,
    monkeypatch: pytest.MonkeyPatch,
    place: str,
    is_cut: bool,
    is_lifted: bool,
) -> None:
    """Also one that was lifted again, also if nobody cut the call: the epoch is read again.

    0 bytes at the tool, and what was lent is taken back.
    """
    house.held.place = place
    if not is_cut:
        monkeypatch.setattr(InFlight, "cut", lambda *_: ())
    call = await house.held_call()
    switch = house.assembled.gateway.parts.kill_switch
    report = await switch.kill((SCOPES[PLACES.index(place)],), "oncall", "now")
    if is_lifted and report.epoch is not None:
        await switch.lift(report.epoch, "oncall", "over")
    house.held.let_go.set()
    assert await call == (503, "killed")
    assert recorder.received == []
    assert bool(house.held.revoked) is (place == "sending" or (place == "lent" and not is_cut))


async def test_a_budget_spent_in_between_is_not_spent_twice(
    house: House, recorder: Recorder
) -> None:
    """Both calls were allowed with the same last point; the ledger gives it to one."""
    house.held.place = "decided"
    first = await house.held_call()
    assert (await house.call())[0] == 200
    house.held.let_go.set()
    assert await first == (429, "budget-exhausted")
    assert len(recorder.received) == 1


async def test_a_lock_in_between_is_found(house: House, recorder: Recorder) -> None:
    """The agent touched a canary elsewhere meanwhile."""
    house.held.place = "decided"
    call = await house.held_call()
    store = house.assembled.gateway.parts.store
    await store.lock_agent("acme", "tester", "canary", datetime.now(UTC))
    house.held.let_go.set()
    assert await call == (403, "agent-locked")
    assert recorder.received == []


async def test_a_session_that_ended_in_between_is_found(house: House, recorder: Recorder) -> None:
    """Whoever ended it does not want its last call any more."""
    opened = (await house.http.post("/v1/sessions")).json()
    house.held.place = "decided"
    call = await house.held_call(opened["token"])
    await house.http.delete(f"/v1/sessions/{opened['id']}")
    house.held.let_go.set()
    assert await call == (403, "session-closed")
    assert recorder.received == []


async def test_a_policy_that_changes_in_between_is_told_apart(
    house: House, recorder: Recorder, world: World
) -> None:
    """The call goes as it was decided, under the revision that decided; the next one does not."""
    old = house.assembled.gateway.parts.policy.revision
    house.held.place = "decided"
    call = await house.held_call()
    world.data("roles", {"tester": {"tools": []}})
    new = await house.assembled.gateway.reload_policy()
    house.held.let_go.set()
    assert (await call)[0] == 200
    assert (await house.call(world.other_token))[0] == 403
    records: Any = await house.assembled.gateway.parts.store.decisions(2, ("*",))
    assert [record.policy_revision for record in records] == [new, old]
    assert len(recorder.received) == 1
