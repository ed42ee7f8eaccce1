"""Two gateways on one PostgreSQL: one budget, one set of keys, one kill switch."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.harness.gateway import Gateway
from tests.harness.postgres import Server
from tests.harness.recorder import Recorder
from tests.harness.world import World

Pair = tuple[Gateway, Gateway]


@pytest.fixture
async def pair(tmp_path: Path, recorder: Recorder, postgres: Server) -> AsyncIterator[Pair]:
    """Two that share a ledger and their agents."""
    first, second = (World(tmp_path / name, recorder.url) for name in ("one", "two"))
    second.agent_token, second.operator_token = first.agent_token, first.operator_token
    async with AsyncExitStack() as held:
        url = postgres.new()
        gateways = []
        for world in (first, second):
            world.directory.mkdir()
            world.settings = {"store": url}
            gateways.append(await held.enter_async_context(Gateway(world)))
        yield gateways[0], gateways[1]


async def test_a_kill_at_one_halts_the_other_at_once(pair: Pair, recorder: Recorder) -> None:
    """Effective when it is answered or soon after; a lift lets both go on."""
    for gateway in pair:
        assert (await gateway.call("write", {"text": "x"}))[0] == 200
    killed_at = time.monotonic()
    status, told = await pair[0].operate("POST", "/killswitch?wait=3", {})
    assert (status, told["effective"]) == (200, True)
    assert time.monotonic() - killed_at < 3
    received = len(recorder.received)
    for gateway in pair:
        assert (await gateway.call("write", {"text": "x"}))[0] == 503
    assert len(recorder.received) == received


async def test_a_key_that_one_used_is_answered_by_the_other(pair: Pair, recorder: Recorder) -> None:
    """One effect."""
    more = {"idempotency_key": "once"}
    _, first = await pair[0].call("write", {"text": "x"}, **more)
    _, again = await pair[1].call("write", {"text": "x"}, **more)
    assert first["outcome"] == again["outcome"] == "done"
    assert len(recorder.received) == 1


async def test_calls_in_flight_at_one_stay_open_while_the_other_starts(
    pair: Pair, recorder: Recorder
) -> None:
    """Both at once: every call ends, each is in the ledger once."""
    calls = [pair[n % 2].call("write", {"text": str(n)}) for n in range(20)]
    answers = await asyncio.gather(*calls)
    assert {status for status, _ in answers} == {200}
    assert len(recorder.received) == 20
