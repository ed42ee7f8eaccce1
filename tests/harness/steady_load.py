"""Agents that never stop calling: each call has a key, and goes on to others until answered."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import aiohttp

AGAIN_S = 0.05
TAKEN_S = 8.0  # who has a key for longer than any call takes has died with it
TAKEN = "taken"
# Nothing happened, or somebody is at it: the documented answers to come back after.
RETRYABLE = frozenset(
    {"draining", "idempotency-key-in-use", "kill-lease-expired", "store-unavailable"}
)


@dataclass
class Load:
    """So many agents at once. `doors` gives the URLs that may be asked, as they are now."""

    doors: Callable[[], Sequence[str]]
    token: str
    tools: Sequence[str] = ("write",)
    pause_s: float = 0.01
    outcomes: dict[str, str] = field(default_factory=dict)
    refused: Counter[str] = field(default_factory=Counter)
    cut: int = 0
    _numbers: Any = field(default_factory=lambda: count(1))
    _ending: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, agents: int = 4) -> None:
        """Call until told to end; every call that was begun gets its answer."""
        timeout = aiohttp.ClientTimeout(total=15)
        async with aiohttp.ClientSession(timeout=timeout) as http:
            await asyncio.gather(*(self._agent(http) for _ in range(agents)))

    def end(self) -> None:
        """Begin no more calls."""
        self._ending.set()

    async def until(self, answered: int) -> None:
        """Return when so many calls more have their answer."""
        wanted = len(self.outcomes) + answered
        async with asyncio.timeout(30):
            while len(self.outcomes) < wanted:
                await asyncio.sleep(0.01)

    async def _agent(self, http: aiohttp.ClientSession) -> None:
        while not self._ending.is_set():
            number = next(self._numbers)
            async with asyncio.timeout(60):
                self.outcomes[f"k{number}"] = await self._call(http, number)
            await asyncio.sleep(self.pause_s)

    async def _call(self, http: aiohttp.ClientSession, number: int) -> str:
        """Return the outcome of one call, whoever answers it in the end."""
        body = {
            "server": "rec",
            "tool": self.tools[number % len(self.tools)],
            "arguments": {"text": f"k{number}"},
            "idempotency_key": f"k{number}",
        }
        began = time.monotonic()
        for turn in count(number):
            doors = self.doors()
            try:
                status, answer = await self._post(http, doors[turn % len(doors)], body)
            except (aiohttp.ClientError, ConnectionError):
                self.cut += 1
            else:
                if outcome := self._outcome(status, answer):
                    return outcome
                if status == 409 and time.monotonic() - began > TAKEN_S:
                    return TAKEN
            await asyncio.sleep(AGAIN_S)
        raise AssertionError

    async def _post(self, http: aiohttp.ClientSession, door: str, body: Any) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {self.token}"}
        async with http.post(f"{door}/v1/calls", json=body, headers=headers) as answer:
            return answer.status, json.loads(await answer.read())

    def _outcome(self, status: int, answer: Any) -> str:
        """Return how a call has ended, "" while it has not; note every refusal."""
        outcome: str = answer.get("outcome", "")
        if status == 200 or outcome == "unknown":
            return outcome
        reasons = [reason["id"] for reason in answer.get("reasons", ())] or [answer.get("code")]
        self.refused[f"{status} {reasons[0]}"] += 1
        return "" if reasons[0] in RETRYABLE else f"refused {reasons[0]}"
