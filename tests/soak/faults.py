"""What goes wrong in a soak, one after the other, decided by the seed; and kills beside it."""

import asyncio
import contextlib
import itertools
import math
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

import aiohttp

from proxy.model.kill import GLOBAL, Scope, ScopeKind
from tests.harness.mcp import open_idle_stream
from tests.history.records import Stream, Subject, View
from tests.soak.fleet import Fleet, Replica
from tests.soak.load import Session
from tests.soak.observed import now_s

FAULT_EVERY_S, KILL_EVERY_S = 6.0, 4.0
HELD_S = (0.5, 3.0)
EFFECTIVE_S = 6.0
LOST = (aiohttp.ClientError, TimeoutError, RuntimeError, AssertionError)


@dataclass
class Ordered:
    """A kill as its operator saw it; `reason` finds it in the log."""

    reason: str
    scope: Scope
    asked_at: float
    epoch: int | None = None
    answered_at: float | None = None
    acknowledged: bool = False
    effective_at: float | None = None


@dataclass
class Lifted:
    """When a lift of an epoch was first asked for, and whether it was answered."""

    asked_at: float
    answered_at: float | None = None


@dataclass
class Operators:
    """Kills of random scopes, each lifted after a while, whoever has to be asked for it."""

    fleet: Fleet
    sessions: list[Session]
    chance: Random
    kills: list[Ordered] = field(default_factory=list)
    lifts: dict[int, Lifted] = field(default_factory=dict)
    refused: int = 0
    _numbers: Any = field(default_factory=itertools.count)

    async def run(self, until: asyncio.Event) -> None:
        """Kill now and then until told to end; then lift what is left."""
        while not until.is_set():
            await _pause(until, self.chance.expovariate(1 / KILL_EVERY_S))
            await self._one(self._scope())
        while active := await self._active():
            for epoch in active:
                await self._lift(epoch)

    def _scope(self) -> Scope:
        number, session = next(self._numbers), self.chance.choice(self.sessions)
        tool = self.chance.choice(("item", "write", "keyed", "opaque"))
        known = (
            Scope(ScopeKind.TENANT, session.tenant),
            Scope(ScopeKind.AGENT, f"{session.tenant}/{session.agent}"),
            *(Scope(ScopeKind.SESSION, session.id),) * 2,
            *(Scope(ScopeKind.TOOL, f"rec/{tool}"),) * 2,
            Scope(ScopeKind.AGENT, f"{session.tenant}/ghost-{number}"),
            Scope(ScopeKind.SESSION, f"ses_ghost{number}"),
            GLOBAL,
        )
        return self.chance.choice(known)

    async def _one(self, scope: Scope) -> None:
        replica = self.chance.choice(self.fleet.replicas)
        ordered = Ordered(f"soak {len(self.kills)}", scope, now_s())
        named = {"kind": scope.kind.value, "id": scope.id} if scope.id else None
        asked = {"reason": ordered.reason} | ({"scope": _named(scope)} if named else {})
        with contextlib.suppress(*LOST):
            status, told = await replica.gateway.operate("POST", "/killswitch", asked)
            if told.get("committed"):
                ordered.epoch, ordered.answered_at = told["epoch"], now_s()
                ordered.acknowledged = status == 200
                ordered.effective_at = ordered.answered_at if told["effective"] else None
            self.refused += status not in {200, 503}
        self.kills.append(ordered)
        await self._until_effective(replica, ordered)
        await asyncio.sleep(self.chance.uniform(*HELD_S))
        for epoch in await self._active():
            await self._lift(epoch)

    async def _until_effective(self, replica: Replica, ordered: Ordered) -> None:
        """Ask until the kill is effective; that is told by whoever answers."""
        until = now_s() + EFFECTIVE_S
        while ordered.epoch and ordered.effective_at is None and now_s() < until:
            with contextlib.suppress(*LOST):
                path = f"/killswitch/{ordered.epoch}"
                _, told = await replica.gateway.operate("GET", path)
                if told.get("effective"):
                    ordered.effective_at = now_s()
            await asyncio.sleep(0.05)

    async def _active(self) -> list[int]:
        _, told = await self.fleet.operate("GET", "/killswitch")
        return [one["epoch"] for one in (told or {}).get("active", ())]

    async def _lift(self, epoch: int) -> None:
        lift = self.lifts.setdefault(epoch, Lifted(now_s()))
        status, _ = await self.fleet.operate("DELETE", f"/killswitch/{epoch}", {"reason": "over"})
        if status == 200 and lift.answered_at is None:
            lift.answered_at = now_s()
        elif status != 200:
            await asyncio.sleep(0.2)


def _named(scope: Scope) -> str:
    return f"{scope.kind.value}:{scope.id}"


@dataclass
class Faults:
    """Processes that die or stand still, a database that goes away, policies that are reloaded.

    The first replica is never killed, so that its memory can be watched from begin to end.
    """

    fleet: Fleet
    chance: Random
    counted: Counter[str] = field(default_factory=Counter)
    views: list[View] = field(default_factory=list)

    async def run(self, until: asyncio.Event) -> None:
        """One fault after the other until told to end."""
        kinds: tuple[tuple[str, Callable[[], Awaitable[None]]], ...] = (
            ("SIGKILL", self._restart),
            ("SIGSTOP", self._pause),
            ("SIGSTOP", self._pause),
            ("database restart", self._database),
            ("policy reload", self._reload),
        )
        left: list[tuple[str, Callable[[], Awaitable[None]]]] = []
        while True:
            await _pause(until, self.chance.expovariate(1 / FAULT_EVERY_S))
            if until.is_set():
                return
            if not left:  # every kind has its turn, in any order
                left = self.chance.sample(kinds, len(kinds))
            kind, fault = left.pop()
            self.counted[kind] += 1
            await fault()

    async def _restart(self) -> None:
        replica = self.chance.choice(self.fleet.replicas[1:])
        await replica.restart(self.chance.uniform(0.0, 2.0))
        with contextlib.suppress(*LOST):
            _, told = await replica.gateway.operate("GET", "/killswitch")
            active = frozenset(one["epoch"] for one in told["active"])
            self.views.append(View(now_s(), replica.name, active, replica.began_at))

    async def _pause(self) -> None:
        replica = self.chance.choice(self.fleet.replicas)
        await replica.pause(self.chance.choice((0.3, 1.0, 2.5, 4.0)))

    async def _database(self) -> None:
        mode = self.chance.choice(("fast", "immediate"))
        await self.fleet.restart_postgres(mode, self.chance.uniform(0.0, 1.5))

    async def _reload(self) -> None:
        replica = self.chance.choice(self.fleet.replicas)
        with contextlib.suppress(*LOST):
            await replica.gateway.operate("POST", "/v1/policy/reload")


@dataclass
class Streams:
    """A client that keeps a stream open at every replica, and opens it again."""

    fleet: Fleet
    seen: list[Stream] = field(default_factory=list)

    async def run(self, until: asyncio.Event) -> None:
        """Go on until told to end."""
        await asyncio.gather(*(self._keep(one, until) for one in self.fleet.replicas))

    async def _keep(self, replica: Replica, until: asyncio.Event) -> None:
        subject = Subject("acme", "tester", "", "")
        while not until.is_set():
            opened_at, closed_at = now_s(), math.inf
            with contextlib.suppress(*LOST):
                stream = await open_idle_stream(replica.gateway)
                opened_at = now_s()
                closing = asyncio.create_task(stream.closed())
                ending = asyncio.create_task(until.wait())
                await asyncio.wait((closing, ending), return_when=asyncio.FIRST_COMPLETED)
                closed_at = now_s()
                for task in (closing, ending):
                    task.cancel()
                await asyncio.gather(closing, ending, return_exceptions=True)
                await stream._http.close()
            if closed_at < math.inf:
                self.seen.append(Stream(opened_at, closed_at, replica.name, subject))
            await _pause(until, 0.3)


async def _pause(until: asyncio.Event, for_s: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(until.wait(), for_s)
