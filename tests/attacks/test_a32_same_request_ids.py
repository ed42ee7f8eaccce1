"""A32: clients use the same JSON-RPC ids at the same time, to get each other's results."""

import asyncio
from collections import defaultdict
from typing import Any

from tests.harness.gateway import Gateway
from tests.harness.mcp_raw import META, request, session_of, stateless_headers, text_of
from tests.harness.recorder import Recorder
from tests.harness.world import World, http_tool

CALLS = 1_000
AT_ONCE = 40
SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {"text": {"type": "string"}},
}


class Agent:
    """A client that calls `echo` again and again with the ids everybody uses."""

    def __init__(self, gateway: Gateway, token: str, headers: dict[str, str], meta: Any) -> None:
        self.gateway = gateway
        self.token = token
        self.headers = headers
        self.meta = meta
        self.free: dict[Any, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def call(self, request_id: Any, text: str) -> bool:
        """Return whether the answer is the one to this very call.

        In one session an id may be used again only when it is free.
        """
        if self.meta:
            return await self._called(request_id, text)
        async with self.free[request_id]:
            return await self._called(request_id, text)

    async def _called(self, request_id: Any, text: str) -> bool:
        params = {"name": "echo", "arguments": {"text": text}} | self.meta
        body = request("tools/call", params, request_id)
        reply = await self.gateway.ask(
            "POST", "/mcp/rec", body, headers=self.headers, token=self.token
        )
        status, answer = reply
        told = (status, answer["id"], text_of(answer)["body"])
        return told == (200, request_id, {"text": text})


async def agents_of(gateway: Gateway) -> list[Agent]:
    """Return two tenants, each in a session and without one, and a second session of the first."""
    world = gateway.world
    stateless = stateless_headers("tools/call", "echo")
    agents = [
        Agent(gateway, token, stateless, {"_meta": META})
        for token in (world.agent_token, world.other_token)
    ]
    sessions = [
        Agent(gateway, token, await session_of(gateway, token=token), {})
        for token in (world.agent_token, world.other_token, world.agent_token)
    ]
    return agents + sessions


async def test_a32_every_client_gets_its_own_result(world: World, recorder: Recorder) -> None:
    """A thousand calls of five clients, few ids, many at once: no answer goes astray."""
    world.deadline = "20s"  # a busy machine is no part of this
    world.tools["rec"]["echo"] = http_tool(
        "POST", "/echo", "read", body=["text"], input_schema=SCHEMA
    )
    async with Gateway(world) as gateway:
        agents = await agents_of(gateway)
        room = asyncio.Semaphore(AT_ONCE)

        async def one(number: int) -> bool:
            async with room:
                agent = agents[number % len(agents)]
                request_id: Any = number // len(agents) % 20 or "a"
                return await agent.call(request_id, f"text {number}")

        results = await asyncio.gather(*(one(number) for number in range(CALLS)))
    assert results.count(True) == CALLS
    assert len({had.body for had in recorder.received}) == CALLS
