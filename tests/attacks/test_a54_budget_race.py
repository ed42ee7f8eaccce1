"""A54: 200 calls at once through three gateways, and one point of risk left.

The same race at the ledger itself, a hundred times, is in tests/contract/postgres. Here it goes
over HTTP, through three processes that share nothing but PostgreSQL.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from tests.harness.gateway import Gateway
from tests.harness.postgres import Server
from tests.harness.recorder import Recorder
from tests.harness.together import Together, together, worlds_of
from tests.harness.world import World

pytestmark = pytest.mark.asyncio(loop_scope="module")

CALLS, LIMIT = 200, 3
Three = tuple[Together, Recorder]


def poor(world: World) -> None:
    """Give each session three points, and the agent as good as any number."""
    world.budgets = {
        "default": {"session_risk": LIMIT, "agent_risk": 1_000, "window_s": 3600},
        "agents": {"globex/other": {"session_risk": 9, "agent_risk": LIMIT, "window_s": 3600}},
    }


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def three(tmp_path_factory: pytest.TempPathFactory, postgres: Server) -> AsyncIterator[Three]:
    recorder = await Recorder().start()
    worlds = worlds_of(tmp_path_factory.mktemp("three"), recorder.url, 3)
    for world in worlds:
        world.other_token = worlds[0].other_token
    try:
        async with together(postgres, worlds, poor) as gateways:
            yield gateways, recorder
    finally:
        await recorder.stop()


async def a_session(gateway: Gateway, token: str = "") -> str:
    """Return the token of a new session."""
    status, session = await gateway.ask("POST", "/v1/sessions", {}, token=token)
    assert status == 201
    return str(session["token"])


async def race(three: Three, token: str) -> list[tuple[int, Any]]:
    """Write from everywhere at once; return the answers."""
    gateways = three[0].gateways
    calls = [gateways[n % 3].call("write", {"n": n}, token=token) for n in range(CALLS)]
    return await asyncio.gather(*calls)


def only_one_passed(three: Three, answers: list[tuple[int, Any]], before: int) -> bool:
    """Whether one was done, at the tool too, and all others were told why not."""
    refused = [answer["reasons"][0]["id"] for status, answer in answers if status == 429]
    done = [answer for status, answer in answers if status == 200]
    at_the_tool = len(three[1].received) - before
    return (len(done), at_the_tool, set(refused)) == (1, 1, {"budget-exhausted"})


async def test_a54_of_200_calls_one_gets_the_last_point(three: Three) -> None:
    """Exactly one passes at all three together, and the tool receives exactly one call."""
    (gateway, *_), recorder = three[0].gateways, three[1]
    token = await a_session(gateway)
    for _ in range(LIMIT - 1):
        assert (await gateway.call("write", {"n": 0}, token=token))[0] == 200
    before = len(recorder.received)
    assert only_one_passed(three, await race(three, token), before)


async def test_a54_an_account_over_sessions_has_no_more_room_for_it(three: Three) -> None:
    """The agent's own budget is raced for from a session at each gateway."""
    gateways, recorder = three[0].gateways, three[1]
    other = gateways[0].world.other_token
    tokens = [await a_session(gateway, other) for gateway in gateways]
    for gateway, token in list(zip(gateways, tokens, strict=True))[:-1]:
        assert (await gateway.call("write", {"n": 0}, token=token))[0] == 200
    before = len(recorder.received)
    calls = [gateways[n % 3].call("write", {"n": n}, token=tokens[n % 3]) for n in range(CALLS)]
    assert only_one_passed(three, await asyncio.gather(*calls), before)


async def test_a54_what_fails_or_is_refused_gives_its_point_back(three: Three) -> None:
    """Refused arguments, a tool that fails, a dry run: at the end all points are still there."""
    gateways, recorder = three[0].gateways, three[1]
    token = await a_session(gateways[0])
    recorder.status = 400
    failed = [await gateways[n % 3].call("write", {"n": n}, token=token) for n in range(LIMIT * 2)]
    recorder.status = 200
    assert {answer["outcome"] for _, answer in failed} == {"failed"}
    for bad in ({"arguments": {"n": "x"}}, {"dry_run": True}):
        for gateway in gateways:
            await gateway.call("write", **bad, token=token)
    done = [await gateways[n].call("write", {"n": n}, token=token) for n in range(LIMIT)]
    assert {status for status, _ in done} == {200}
    assert (await gateways[0].call("write", {"n": 0}, token=token))[0] == 429


async def test_a54_a_crash_leaks_no_more_than_the_calls_it_met(three: Three) -> None:
    """What was in flight stays held, since it may have happened; the others go on with the rest.

    The hold ends with the session it was made in: a new session has its points whole.
    """
    (first, second, third), recorder = three[0].gateways, three[1]
    token = await a_session(first)
    before = len(recorder.received)
    lost = asyncio.create_task(third.call("hold", {"n": 1}, token=token))
    async with asyncio.timeout(20):
        while len(recorder.received) == before:
            await asyncio.sleep(0.01)
    await third.kill9()
    with pytest.raises(aiohttp.ClientError):
        await lost
    answers = [await second.call("write", {"n": n}, token=token) for n in range(LIMIT)]
    assert [status for status, _ in answers] == [200] * (LIMIT - 1) + [429]
    await third.start()
    assert (await third.call("write", {"n": 9}, token=token))[0] == 429
    assert (await third.call("write", {"n": 9}, token=await a_session(third)))[0] == 200
