"""I20: nothing of one tenant reaches another, whatever both do at the same time, on every door.

Both have agents of the same names, use the same keys, request ids, tool uses and session names, and
share tools that show all they remember. Everything an agent says carries its mark; everything that
anybody hears, and every row of the ledger, is searched for the marks and ids of others.
"""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.harness.busy_agents import Agent
from tests.harness.gateway import Gateway
from tests.harness.hoarder import Hoarder
from tests.harness.tenants import (
    Everybody,
    Line,
    everybody,
    mixed_rows,
    wrong_accounts,
)

SEEDS, ROUNDS = [1, 2], 40
MANY_SEEDS, MANY_ROUNDS = range(10, 16), 400
AT_ONCE = 3


@dataclass
class Watcher:
    """An operator of one tenant, who reads everything and meddles with what is theirs."""

    line: Line
    all: Everybody
    chance: random.Random

    async def look(self) -> None:
        for path in (
            "/v1/sessions?limit=1000", "/v1/decisions?limit=1000", "/v1/intents?state=done",
            "/v1/intents?state=unknown", "/v1/approvals", "/v1/approvals?state=any", "/killswitch",
            "/v1/dry-run", "/v1/findings",
        ):  # fmt: skip
            status, _ = await self.line.ask("GET", path)
            assert status == 200

    async def look_at_others(self) -> None:
        other = self.chance.choice(self.all.others(self.line.party))
        for session, _ in other.sessions[:3]:
            assert (await self.line.ask("GET", f"/v1/chains/{session}"))[0] == 404
            kill = {"scope": f"session:{session}"}
            assert (await self.line.ask("POST", "/killswitch", kill))[0] == 403
        for found in [one.decode() for one in other.ids if one.startswith(b"apr_")][:3]:
            assert (await self.line.ask("GET", f"/v1/approvals/{found}"))[0] == 404
            assert (await self.line.ask("POST", f"/v1/approvals/{found}/approve"))[0] == 404

    async def approve(self) -> None:
        _, listed = await self.line.ask("GET", "/v1/approvals")
        for one in listed["approvals"][:2]:
            await self.line.ask("POST", f"/v1/approvals/{one['id']}/approve", {"reason": "fine"})

    async def halt_a_moment(self) -> None:
        scope = {"scope": f"tenant:{self.line.party.tenant}", "reason": "look"}
        _, killed = await self.line.ask("POST", "/killswitch", scope)
        await asyncio.sleep(0.05)
        why = {"reason": "looked"}
        assert (await self.line.ask("DELETE", f"/killswitch/{killed['epoch']}", why))[0] == 200
        assert (await self.line.ask("GET", f"/killswitch/{killed['epoch']}"))[0] == 200

    async def run(self, agents: asyncio.Future[Any]) -> None:
        gestures = [self.look, self.look_at_others, self.approve, self.halt_a_moment]
        weights = [4, 4, 3, 1]
        while not agents.done():
            (gesture,) = self.chance.choices(gestures, weights)
            await gesture()
            await asyncio.sleep(0.05)


@pytest.fixture
async def hoarder() -> AsyncIterator[Hoarder]:
    """The tools both tenants share."""
    hoarder = await Hoarder().start()
    yield hoarder
    await hoarder.stop()


async def live_together(parties: Everybody, gateway: Gateway, seed: int, rounds: int) -> None:
    """Let everybody do what they like, at the same time."""
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=60)
    async with aiohttp.ClientSession(
        connector=connector, timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()
    ) as http:
        agents = [
            Agent(Line(one, gateway.agents, http), parties, random.Random(f"{seed}{n}{one.name}"))
            for one in parties.agents
            for n in range(AT_ONCE)
        ]
        working = asyncio.gather(*(agent.run(rounds) for agent in agents))
        watchers = [
            Watcher(Line(one, gateway.operators, http), parties, random.Random(seed))
            for one in parties.operators
        ]
        await asyncio.gather(working, *(watcher.run(working) for watcher in watchers))
        for watcher in watchers:
            await watcher.look()


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("seed", "rounds"),
    [
        *((seed, ROUNDS) for seed in SEEDS),
        *(pytest.param(seed, MANY_ROUNDS, marks=pytest.mark.slow) for seed in MANY_SEEDS),
    ],
)
async def test_nothing_of_one_tenant_reaches_another(
    tmp_path: Path, hoarder: Hoarder, seed: int, rounds: int
) -> None:
    """Not in bytes, streams, lists, errors or headers, not in the ledger, not in a budget."""
    parties = everybody(tmp_path, hoarder)
    async with Gateway(parties.world) as gateway:
        await live_together(parties, gateway, seed, rounds)
        text = gateway.text
    assert parties.overheard() == []
    assert mixed_rows(parties.world.database, parties) == []
    assert wrong_accounts(parties.world.database) == []
    assert not any(agent.mark in text for agent in parties.agents)
    assert_that_much_was_heard(parties, hoarder)


def assert_that_much_was_heard(parties: Everybody, hoarder: Hoarder) -> None:
    """Silence would pass every test above."""
    for agent in parties.agents:
        own = [what for what, raw in agent.heard if agent.mark.encode() in raw]
        assert {"POST /v1/calls", "POST /http/rec/write", "POST /mcp"} <= set(own)
        assert len(own) > ROUNDS / 4
    for operator in parties.operators:
        assert len(operator.ids) > ROUNDS / 2
        seen = b"".join(raw for _, raw in operator.heard)
        assert all(
            one.mark.encode() in seen for one in parties.agents if one.tenant == operator.tenant
        )
    assert hoarder.opened > 4
    assert hoarder.requests > ROUNDS


async def test_the_ear_hears(tmp_path: Path, hoarder: Hoarder) -> None:
    """A mark, a name and an id in the wrong place are found."""
    parties = everybody(tmp_path, hoarder)
    first, third = parties.agents[0], parties.agents[2]
    for raw in (
        third.mark.encode(),
        third.tenant.upper().encode(),
        parties.agents[1].mark.encode(),
    ):
        first.heard[:] = [("planted", json.dumps({"x": raw.decode()}).encode())]
        assert len(parties.overheard()) == 1
    for party in (first, third):
        party.heard[:] = [("planted", b'{"step_id":"stp_0123456789abcdef"}')]
    assert len(parties.overheard()) == 1
    parties.operators[0].hear("own", parties.agents[1].mark.encode())
    assert len(parties.overheard()) == 1
