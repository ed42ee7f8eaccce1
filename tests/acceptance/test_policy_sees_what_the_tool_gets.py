"""I19: what policy decided on is what the tool received, byte for byte, or it received nothing.

Real OPA, real HTTP tool, every door, 10,000 argument objects written in every odd way; a sample of
them in `make test`.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from proxy.app import build
from proxy.app.assemble import Assembled, assemble
from proxy.config import load_settings
from proxy.observability.masking import Masker
from proxy.pdp.base import QueryAnswer
from proxy.pdp.managed_opa import ManagedOpa
from tests.harness.odd_json import OddJson
from tests.harness.recorder import Recorder
from tests.harness.world import World

WHOLE, SAMPLE, AT_ONCE = 10_000, 500, 40
ARGUMENTS = re.compile(rb'"context":\{"arguments":(.*),"extras":\{\},"meta":\{\},', re.DOTALL)
NUMBER = re.compile(rb'"n":(\d+)[,}]')


class ListeningOpa(ManagedOpa):
    """A managed OPA that keeps the argument bytes of every decision it is asked for."""

    heard: dict[int, bytes]

    async def query(self, path: str, body: bytes, deadline_s: float) -> QueryAnswer:
        if found := ARGUMENTS.search(body):
            self.heard[number_of(found[1])] = found[1]
        return await super().query(path, body, deadline_s)


def number_of(arguments: bytes) -> int:
    found = NUMBER.search(arguments)
    assert found is not None
    return int(found[1])


@pytest.fixture
async def house(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[Assembled, ListeningOpa]]:
    """The whole gateway in this process, with an ear at the policy."""
    ears: list[ListeningOpa] = []

    def listening(builder: build.Builder, probe: Any) -> ListeningOpa:
        ears.append(ListeningOpa(builder.opa, probe))
        ears[0].heard = {}
        return ears[0]

    monkeypatch.setitem(build.ENGINES, "managed", listening)
    world.deadline = "10s"
    assembled = assemble(load_settings(world.write(), {}), {}, Masker())
    await assembled.gateway.start()
    yield assembled, ears[0]
    await assembled.gateway.stop()
    assembled.cleanup()


def request_of(n: int, raw: bytes, token: str) -> dict[str, Any]:
    """Build the request for one object: by each door in turn."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    if n % 3 == 1:
        return {"url": "/http/rec/write", "content": raw, "headers": headers}
    if n % 3:
        body = b'{"server":"rec","tool":"write","arguments":' + raw + b"}"
        return {"url": "/v1/calls", "content": body, "headers": headers}
    meta = (
        b'"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28",'
        b'"io.modelcontextprotocol/clientCapabilities":{}}'
    )
    params = b'{"name":"rec__write",' + meta + b',"arguments":' + raw + b"}"
    body = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":' + params + b"}"
    headers |= {
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": "2026-07-28",
        "Mcp-Method": "tools/call",
        "Mcp-Name": "rec__write",
    }
    return {"url": "/mcp", "content": body, "headers": headers}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("count", [SAMPLE, pytest.param(WHOLE, marks=pytest.mark.slow)])
async def test_policy_and_tool_see_the_same_bytes(
    house: tuple[Assembled, ListeningOpa], world: World, recorder: Recorder, count: int
) -> None:
    """No difference in any, and nothing received that policy did not see."""
    assembled, ear = house
    servers = assembled.bind()
    await servers.start()
    odd = OddJson(seed=20261122)
    bodies = [(n, odd.arguments(n)) for n in range(count)]
    statuses: dict[int, int] = {}

    async def worker(http: httpx.AsyncClient) -> None:
        while bodies:
            n, raw = bodies.pop()
            answer = await http.post(**request_of(n, raw, world.agent_token))
            statuses[n] = answer.status_code

    limits = httpx.Limits(max_connections=AT_ONCE)
    base = f"http://{servers.addresses[0]}"
    async with httpx.AsyncClient(base_url=base, limits=limits, timeout=60) as http:
        await asyncio.gather(*(worker(http) for _ in range(AT_ONCE)))
    await servers.stop()
    received = {number_of(request.body): request.body for request in recorder.received}
    assert len(received) == len(recorder.received) > count / 4
    assert {n: ear.heard.get(n) for n in received} == received
    refused = {n for n, status in statuses.items() if 400 <= status < 500}
    assert refused.isdisjoint(received)
    assert len(refused) > count / 10
    assert all(json.loads(body)["n"] == n for n, body in received.items())
