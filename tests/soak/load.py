"""The agents of a soak: calls at a rate, whatever comes back, and what their clients saw."""

import asyncio
import contextlib
import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

import aiohttp

from tests.history.records import Call, Subject
from tests.soak.fleet import Fleet
from tests.soak.observed import now_s

SHARES = (("item", 4), ("write", 3), ("keyed", 2), ("opaque", 1))
SCARCE_RISK = 400
LEAVES, HAS_KEY, REPEATS, IS_SLOW = 0.02, 0.3, 0.3, 0.05
KEPT_KEYS = 200


@dataclass(frozen=True)
class Session:
    """A session of an agent, and what its calls are sent with."""

    tenant: str
    agent: str
    id: str
    token: str


@dataclass(frozen=True)
class Request:
    """What is sent; the same one may be sent again under its key."""

    session: Session
    tool: str
    arguments: dict[str, Any]
    key: str

    @property
    def canonical(self) -> str:
        """What two requests are compared by."""
        return json.dumps([self.tool, self.arguments], sort_keys=True)


@dataclass
class Load:
    """Open-loop Poisson arrivals at a rate of calls a second."""

    fleet: Fleet
    rate: float
    chance: Random
    calls: list[Call] = field(default_factory=list)
    offered: int = 0
    _sessions: list[Session] = field(default_factory=list)
    _sent: list[Request] = field(default_factory=list)
    _numbers: Any = field(default_factory=lambda: itertools.count(1))
    _running: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def sessions(self) -> Sequence[Session]:
        """The sessions that calls are made in."""
        return self._sessions

    async def open_sessions(self) -> None:
        """Open five for each agent, one of them with few points."""
        first = self.fleet.replicas[0]
        whose = (("acme", "tester", first.world.agent_token),)
        for tenant, agent, token in (*whose, ("globex", "other", first.world.other_token)):
            for asked in (*({},) * 4, {"budget": {"risk": SCARCE_RISK}}):
                status, told = await first.gateway.ask("POST", "/v1/sessions", asked, token=token)
                assert status in {200, 201}, told
                self._sessions.append(Session(tenant, agent, told["id"], told["token"]))

    async def run(self, until: asyncio.Event) -> None:
        """Call until told to end, then wait for what is under way."""
        due = now_s()
        while not until.is_set():
            due += self.chance.expovariate(self.rate)
            await asyncio.sleep(max(0.0, due - now_s()))
            self.offered += 1
            task = asyncio.create_task(self._call(self._request()))
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        await asyncio.gather(*self._running)

    def _request(self) -> Request:
        if self._sent and self.chance.random() < HAS_KEY * REPEATS:
            known = self.chance.choice(self._sent)
            is_other = self.chance.random() < REPEATS
            return self._fresh(known.session, known.key) if is_other else known
        key = f"k{next(self._numbers)}" if self.chance.random() < HAS_KEY else ""
        made = self._fresh(self.chance.choice(self._sessions), key)
        if key:
            self._sent = [*self._sent[-KEPT_KEYS:], made]
        return made

    def _fresh(self, session: Session, key: str) -> Request:
        names = [name for name, share in SHARES for _ in range(share)]
        tool, marker = self.chance.choice(names), f"m{next(self._numbers)}"
        if tool == "item":
            return Request(session, tool, {"id": marker}, key)
        slow_s = self.chance.choice((0.3, 1.0)) if self.chance.random() < IS_SLOW else 0
        return Request(session, tool, {"text": marker, "n": slow_s}, key)

    async def _call(self, request: Request) -> None:
        session = request.session
        subject = Subject(session.tenant, session.agent, session.id, f"rec/{request.tool}")
        call = Call(now_s(), None, subject, request.canonical, request.key)
        gateway = self.chance.choice(self.fleet.replicas).gateway
        more = {"idempotency_key": request.key} if request.key else {}
        asking = gateway.call(request.tool, request.arguments, token=session.token, **more)
        leaves = self.chance.random() < LEAVES
        with contextlib.suppress(aiohttp.ClientError, TimeoutError, RuntimeError, AssertionError):
            async with asyncio.timeout(0.02 if leaves else None):
                status, told = await asking
                call = _answered(call, status, told)
        self.calls.append(call)


def _answered(call: Call, status: int, told: dict[str, Any]) -> Call:
    reasons = told.get("reasons") or [{"id": told.get("code", "")}]
    return replace(
        call,
        end=now_s(),
        status=status,
        outcome=told.get("outcome", ""),
        reason=reasons[0]["id"],
        step_id=told.get("step_id") or "",
        result=json.dumps(told.get("result")),
    )
