"""Policies replaced while a whole gateway carries calls: one in five is refused.

A refusal tells by its sentence which bundle made it. Every other call is carried out by a tool.
"""

import asyncio
import json
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from bench.load import open_loop
from bench.reload_seen import Seen, number_sentence
from bench.tool import serve
from tests.harness.gateway import Gateway
from tests.harness.world import ECHO, World, http_tool

DONE = json.dumps({"server": "rec", "tool": "write", "arguments": {"text": "y" * 100}}).encode()
REFUSED = json.dumps({"server": "rec", "tool": "other", "arguments": {}}).encode()
REASON = "role-not-allowed"
REFUSED_OF = 5


@dataclass
class Calling:
    """One gateway and what came back from it."""

    gateway: Gateway
    http: aiohttp.ClientSession
    seen: Seen = field(default_factory=Seen)
    count: int = 0

    async def ask(self) -> None:
        """Call once and look whether stamp and rules agree."""
        self.count += 1
        asked_under, is_refused = self.seen.live, self.count % REFUSED_OF == 0
        body = REFUSED if is_refused else DONE
        async with self.http.post(f"{self.gateway.agents}/v1/calls", data=body) as answer:
            told = await answer.json()
            if answer.status != (403 if is_refused else 200):
                self.seen.errors.append(f"{answer.status}: {told}")
                return
        stamp = told["policy_revision"]
        while stamp not in self.seen.revisions:  # the reload that brought it is being answered
            await asyncio.sleep(0.001)
        self.seen.add(stamp, asked_under, str(told) if is_refused else None)

    async def reload(self, times: int, every_s: float) -> None:
        """Change the bundle's directory and have it read again, so many times."""
        bundle = self.gateway.world.bundle
        for number in range(1, times + 1):
            await asyncio.sleep(every_s)
            await asyncio.to_thread(number_sentence, bundle, REASON, number)
            began = time.perf_counter()
            status, answer = await self.gateway.operate("POST", "/v1/policy/reload")
            assert status == 200, answer
            self.seen.replaced_s.append(time.perf_counter() - began)
            self.seen.revisions[answer["policy_revision"]] = number
            self.seen.live = number


def _world(directory: Path, url: str, engine: str) -> World:
    world = World(directory, url)
    limits = {"session_risk": 10**6, "agent_risk": 10**6, "window_s": 3600}
    world.budgets = {"default": limits}
    world.roles = {"tester": {"tools": ["rec/write"]}}
    write, other = http_tool("POST", "/write", "write", **ECHO), http_tool("GET", "/other", "read")
    world.tools = {"rec": {"write": write, "other": other}}
    policy: dict[str, Any] = {"bundle": "policies", "deadline": "5s", "engine": engine}
    world.settings = {"policy": policy}
    world.write()
    number_sentence(world.bundle, REASON, 0)
    return world


async def measure_calls(engine: str, rate: float, seconds: float, every_s: float) -> str:
    """Call and replace for so long; return a row of the table."""
    server, url = await serve()
    with tempfile.TemporaryDirectory() as held:
        async with Gateway(_world(Path(held), url, engine)) as gateway:
            headers = {
                "Authorization": f"Bearer {gateway.world.agent_token}",
                "Content-Type": "application/json",
            }
            async with aiohttp.ClientSession(headers=headers) as http:
                calling = Calling(gateway, http)
                _, answer = await gateway.call("write", {"text": "first"})
                calling.seen.revisions[answer["policy_revision"]] = 0
                async with asyncio.TaskGroup() as both:
                    both.create_task(calling.reload(int(seconds / every_s), every_s))
                    loading = both.create_task(open_loop(calling.ask, rate, seconds))
    server.close()
    return calling.seen.row(f"gateway, {engine}", rate, seconds, loading.result())
