"""A sidecar attached to a gateway: two processes, one ledger, one policy, one kill switch."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness.gateway import Gateway
from tests.harness.recorder import Recorder
from tests.harness.sidecars import Attachable, Sidecar
from tests.harness.world import World

pytestmark = pytest.mark.alone

LEASE_S = 2.0
CUT_OFF = {"store-unavailable", "kill-lease-expired"}


@pytest.fixture
def attachable(world: World) -> Attachable:
    return Attachable(world)


@pytest.fixture
async def gateway(attachable: Attachable) -> AsyncIterator[Gateway]:
    async with Gateway(attachable.world) as gateway:
        yield gateway


@pytest.fixture
async def sidecar(
    attachable: Attachable, gateway: Gateway, tmp_path: Path
) -> AsyncIterator[Sidecar]:
    del gateway
    async with attachable.sidecar(tmp_path / "pod") as sidecar:
        yield sidecar


async def refused(sidecar: Sidecar) -> str:
    """Call; return the reason of the refusal, empty when it went through."""
    status, answer = await sidecar.call("read")
    return "" if status == 200 else answer["reasons"][0]["id"]


async def until_refused(sidecar: Sidecar) -> str:
    """Call until it is refused; return why."""
    async with asyncio.timeout(10):
        while not (reason := await refused(sidecar)):
            await asyncio.sleep(0.01)
    return reason


async def test_a_call_at_the_sidecar_stands_in_the_gateways_ledger(
    gateway: Gateway, sidecar: Sidecar, recorder: Recorder
) -> None:
    """Under the gateway's policy: the sidecar's own would have allowed nothing."""
    status, answer = await sidecar.call("write", {"text": "a", "n": 1})
    assert (status, answer["outcome"]) == (200, "done")
    assert len(recorder.received) == 1
    _, told = await gateway.operate("GET", "/v1/sessions")
    (session,) = told["sessions"]
    _, chain = await gateway.operate("GET", f"/v1/chains/{session['id']}")
    assert [step["state"] for step in chain["steps"]] == ["done"]


async def test_a_kill_at_the_gateway_stops_the_sidecar(
    gateway: Gateway, sidecar: Sidecar, recorder: Recorder
) -> None:
    """Effective once the sidecar has acknowledged, and then nothing starts there any more."""
    assert await refused(sidecar) == ""
    stop = asyncio.Event()

    async def calls() -> None:
        while not stop.is_set():
            await sidecar.call("read")

    calling = [asyncio.create_task(calls()) for _ in range(4)]
    await asyncio.sleep(0.3)
    status, report = await gateway.operate("POST", "/killswitch?wait=3")
    effective_at = time.monotonic()
    assert (status, report["effective"]) == (200, True)
    assert report["holders"] == {"acked": 2, "expired": 0, "outstanding": 0}
    await asyncio.sleep(0.3)
    stop.set()
    await asyncio.gather(*calling)
    assert max(request.at for request in recorder.received) <= effective_at
    assert await refused(sidecar) == "killed"
    status, _ = await gateway.operate(
        "DELETE", f"/killswitch/{report['epoch']}", {"reason": "over"}
    )
    assert status == 200
    async with asyncio.timeout(5):
        while await refused(sidecar):
            await asyncio.sleep(0.05)


async def test_a_sidecar_that_is_cut_off_starts_nothing_after_its_lease(
    gateway: Gateway, sidecar: Sidecar, recorder: Recorder
) -> None:
    """The gateway is gone without a word: reads are refused as well."""
    assert await refused(sidecar) == ""
    await gateway.kill9()
    gone_at = time.monotonic()
    assert await until_refused(sidecar) in CUT_OFF
    await asyncio.sleep(max(0.0, gone_at + LEASE_S - time.monotonic()))
    count = len(recorder.received)
    assert await refused(sidecar) in CUT_OFF
    assert len(recorder.received) == count
    await gateway.start()
    async with asyncio.timeout(10):
        while await refused(sidecar):
            await asyncio.sleep(0.05)


async def test_an_outcome_is_delivered_when_the_gateway_is_back(
    gateway: Gateway, sidecar: Sidecar, recorder: Recorder
) -> None:
    """What was done while the gateway was away is not lost, and not done twice."""
    calling = asyncio.create_task(sidecar.call("hold", {"text": "a", "n": 1}))
    async with asyncio.timeout(10):
        while not recorder.received:
            await asyncio.sleep(0.01)
    await gateway.kill9()
    recorder.release.set()
    status, answer = await calling
    assert (status, answer["outcome"]) == (200, "done")
    await gateway.start()

    async def states() -> list[str]:
        _, told = await gateway.operate("GET", "/v1/sessions")
        steps: list[Any] = []
        for session in told["sessions"]:
            _, chain = await gateway.operate("GET", f"/v1/chains/{session['id']}")
            steps += chain["steps"]
        return [step["state"] for step in steps]

    async with asyncio.timeout(10):
        while await states() != ["done"]:
            await asyncio.sleep(0.05)
    assert len(recorder.received) == 1


async def test_the_sidecar_follows_the_gateways_policy(
    attachable: Attachable, gateway: Gateway, sidecar: Sidecar
) -> None:
    """Reloaded there, it is in force here within seconds."""
    assert await refused(sidecar) == ""
    attachable.world.data("roles", {})
    status, told = await gateway.operate("POST", "/v1/policy/reload")
    assert status == 200
    assert await until_refused(sidecar) == "role-not-allowed"
    _, answer = await sidecar.call("read")
    assert answer["policy_revision"] == told["policy_revision"]


async def test_a_stranger_cannot_attach(
    attachable: Attachable, gateway: Gateway, tmp_path: Path
) -> None:
    """The start ends with a message; the gateway says nothing of its policy."""
    async with gateway.http.get(f"{attachable.url}/attach/v1/bundle") as answer:
        assert answer.status == 401
        assert json.loads(await answer.read())["code"] == "not-authenticated"
    token = gateway.world.agent_token
    headers = {"Authorization": f"Bearer {token}"}
    async with gateway.http.get(f"{attachable.url}/attach/v1/bundle", headers=headers) as answer:
        assert answer.status == 401
    assert not (tmp_path / "pod").exists()
