"""A83: the wall clock of the gateway jumps by minutes, or by an hour as where DST is mistaken.

What lasts (kill lease, time limits, waits) counts by clocks that only go forward; what has a date
(tokens, approvals) is judged by the wall clock with at most 30 s of leeway.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.harness.gateway import Gateway
from tests.harness.issuer import SUBJECT, Issuer
from tests.harness.recorder import Recorder
from tests.harness.world import World

MINUTES_5, HOUR = 300, 3_600
STEPS = [MINUTES_5, -MINUTES_5, HOUR, -HOUR, 1, 0]


@pytest.fixture
def clock(world: World) -> Path:
    """How far the gateway's wall clock is off, in seconds."""
    place = world.directory / "off-by"
    place.write_text("0")
    world.program = ("tests.harness.stepped_clock", str(place))
    return place


@pytest.fixture
async def issuer(world: World) -> AsyncIterator[Issuer]:
    """An issuer with the right time, trusted as far as can be."""
    issuer = await Issuer().start()
    subject = {"sub": SUBJECT, "name": "nightly", "tenant": "acme", "roles": ["tester"]}
    trusted = {
        "issuer": issuer.name,
        "audience": "detent",
        "jwks_uri": issuer.jwks_uri,
        "allow_private": True,
        "leeway": "30s",
        "subjects": [subject],
    }
    world.settings = {
        "identity": world._identity() | {"issuers": [trusted]},
        "listen": {
            "agents": "127.0.0.1:0",
            "operators": "127.0.0.1:0",
            "public_url": "https://detent.example",
        },
    }
    yield issuer
    await issuer.stop()


async def test_a83_a_step_neither_stops_calls_nor_delays_a_kill(
    world: World, recorder: Recorder, clock: Path
) -> None:
    """The lease stays fresh, a call in flight is not cut, a kill is effective at once."""
    async with Gateway(world) as gateway:
        held = asyncio.create_task(gateway.call("hold", {"text": "x"}))
        async with asyncio.timeout(20):
            while not recorder.received:
                await asyncio.sleep(0.01)
        for step in STEPS:
            clock.write_text(str(step))
            assert (await gateway.call("write", {"text": "x"}))[0] == 200, step
            status, report = await gateway.operate(
                "POST", "/killswitch", {"scope": "tool:rec/read"}
            )
            assert (status, report["effective"]) == (200, True), step
            assert (await gateway.call("read"))[0] == 503, step
            path = f"/killswitch/{report['epoch']}"
            assert (await gateway.operate("DELETE", path, {"reason": "over"}))[0] == 200
            assert (await gateway.call("read"))[0] == 200, step
        recorder.release.set()
        assert (await held)[1]["outcome"] == "done"


async def test_a83_an_approval_ends_by_the_date_it_was_given(
    world: World, recorder: Recorder, clock: Path
) -> None:
    """A quarter of an hour later it is good for nothing; the tool receives nothing."""
    async with Gateway(world) as gateway:
        _, held = await gateway.call("drop", {"text": "x"})
        path = f"/v1/approvals/{held['approval']['id']}"
        assert (await gateway.operate("POST", path + "/approve", {"reason": "ok"}))[0] == 200
        clock.write_text("901")
        status, again = await gateway.call("drop", {"text": "x"})
        assert (status, again["outcome"]) == (202, "pending_approval")
        assert again["approval"]["id"] != held["approval"]["id"]
    assert recorder.received == []


async def test_a83_a_token_is_taken_with_half_a_minute_of_leeway(
    world: World, recorder: Recorder, clock: Path, issuer: Issuer
) -> None:
    """Further off than that, a fresh token is too old or from the future: 401, and nothing else."""
    async with Gateway(world) as gateway:
        for off, status in ((0, 200), (20, 200), (-20, 200), (MINUTES_5, 401), (-MINUTES_5, 401)):
            clock.write_text(str(off))
            now = int(issuer.clock())
            token = issuer.token(exp=now + 60, jti=str(off))
            assert (await gateway.call("read", token=token))[0] == status, off
    assert len(recorder.received) == 3
