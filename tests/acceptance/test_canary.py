"""Bait: who touches it is denied, locked and reported within a second."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from proxy.monitors.alerts.webhook import verify
from tests.harness.gateway import Gateway
from tests.harness.recorder import Recorder
from tests.harness.world import World

pytestmark = pytest.mark.alone

BAIT = "AKIAQ7HONEYTOKEN42XY"
SECRET = "whsec-test-0123456789abcdef0123456789"


class Receiver:
    """Somebody's webhook, that checks signatures and can be down."""

    def __init__(self) -> None:
        self.alerts: list[tuple[float, dict[str, str], bytes]] = []
        self.port = 0
        self._runner: web.AppRunner | None = None

    async def up(self) -> None:
        app = web.Application()
        app.router.add_post("/alerts", self._take)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def down(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def arrived(self, within_s: float) -> tuple[float, dict[str, str], bytes]:
        async with asyncio.timeout(within_s):
            while not self.alerts:
                await asyncio.sleep(0.005)
        return self.alerts[0]

    async def _take(self, request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.alerts.append((time.monotonic(), headers, await request.read()))
        return web.Response(status=204)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    await receiver.up()
    yield receiver
    await receiver.down()


@pytest.fixture
def baited(world: World, receiver: Receiver, tmp_path: Path) -> World:
    """A gateway with one canary and one webhook."""
    for name, value in {"bait": BAIT, "hook": SECRET}.items():
        (tmp_path / name).write_text(value)
        (tmp_path / name).chmod(0o600)
    world.settings = {
        "canaries": [{"name": "aws-key", "token": {"file": "bait"}}],
        "alerts": [
            {
                "webhook": {
                    "url": f"http://127.0.0.1:{receiver.port}/alerts",
                    "secret": {"file": "hook"},
                }
            }
        ],
    }
    return world


def signed(headers: dict[str, str], body: bytes) -> bool:
    """Whether the receiver can trust the alert."""
    return verify(headers, body, SECRET.encode(), 60, time.time())


async def test_a_touch_in_a_call_is_denied_locked_and_reported(
    baited: World, receiver: Receiver, recorder: Recorder
) -> None:
    """0 bytes at the tool; a signed alert within a second; a new session is refused."""
    async with Gateway(baited) as gateway:
        began = time.monotonic()
        status, answer = await gateway.call("write", {"text": f"key={BAIT}"})
        assert (status, answer["reasons"][0]["id"]) == (403, "canary-touched")
        at, headers, body = await receiver.arrived(5)
        assert at - began < 1.0
        assert signed(headers, body)
        assert BAIT.encode() not in body
        assert recorder.received == []
        status, problem = await gateway.ask("POST", "/v1/sessions", {})
        assert (status, problem["code"]) == (403, "agent-locked")
        assert (await gateway.call("read"))[1]["reasons"][0]["id"] == "agent-locked"
        assert BAIT not in gateway.text


async def test_a_touch_in_a_result_is_withheld(baited: World, recorder: Recorder) -> None:
    """The agent never sees the bait that a tool gave away."""
    recorder.reply = {"found": BAIT}
    async with Gateway(baited) as gateway:
        status, answer = await gateway.call("read")
        assert (status, answer["reasons"][0]["id"]) == (403, "canary-touched")
        assert BAIT not in str(answer)


async def test_an_alert_outlives_a_receiver_that_is_down(baited: World, receiver: Receiver) -> None:
    """Ten seconds down: one alert id, delivered at least once after it is back."""
    await receiver.down()
    async with Gateway(baited) as gateway:
        await gateway.call("write", {"text": BAIT})
        await asyncio.sleep(10)
        await receiver.up()
        await receiver.arrived(15)
        await asyncio.sleep(0.5)
    ids = {headers["webhook-id"] for _, headers, _ in receiver.alerts}
    assert len(ids) == 1


async def test_an_alert_outlives_the_gateway(baited: World, receiver: Receiver) -> None:
    """Killed -9 before it could deliver: the next process delivers the same alert."""
    await receiver.down()
    gateway = Gateway(baited)
    await gateway.start()
    await gateway.call("write", {"text": BAIT})
    await gateway.kill9()
    await receiver.up()
    async with Gateway(baited):
        _, headers, body = await receiver.arrived(10)
        assert signed(headers, body)


async def test_an_operator_unlocks_the_agent(baited: World) -> None:
    """The lock holds until a person lifts it, over restarts too."""
    async with Gateway(baited) as gateway:
        await gateway.call("write", {"text": BAIT})
    async with Gateway(baited) as again:
        assert (await again.call("read"))[0] == 403
        reason: dict[str, Any] = {"reason": "false alarm"}
        status, _ = await again.operate("POST", "/v1/agents/acme/tester/unlock", reason)
        assert status == 200
        assert (await again.call("read"))[0] == 200
