"""A39: the policy engine is down, errs, is slow, answers garbage or for another bundle.

A real OPA that is killed, stopped or wrong stands in tests/acceptance/test_policy_failures.py;
here a remote engine is a server of the attacker's making.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from tests.harness.assembled import stored_alerts
from tests.harness.gateway import Gateway
from tests.harness.recorder import Recorder
from tests.harness.world import World

GOOD = {
    "verdict": "allow",
    "reasons": [{"id": "ok", "message": "Fine."}],
    "obligations": [],
    "grant": None,
    "cost": {"risk": 1},
    "labels": [],
}


class FakeOpa:
    """Answers as an OPA would, honest at first; `mood` is what it turns into."""

    def __init__(self) -> None:
        self.mood = "honest"
        self.revision = ""
        self.port = 0
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        if self.mood == "slow":
            await asyncio.sleep(2)
        if self.mood == "500":
            return web.Response(status=500, text="{}")
        if self.mood == "garbage":
            return web.Response(body=b"\x00<html>", content_type="application/json")
        if self.mood == "redirect":
            return web.Response(status=307, headers={"Location": "http://127.0.0.1:1/"})
        return web.json_response(self._document())

    def _document(self) -> dict[str, Any]:
        if self.mood == "empty":
            return {}
        result: Any = {"true": True, "list": [GOOD], "string": json.dumps(GOOD)}.get(
            self.mood, GOOD
        )
        revision = "sha256:other" if self.mood == "other revision" else self.revision
        bundles = {"bundle": {"revision": revision}}
        return {"result": result, "provenance": {"bundles": bundles}}


@pytest.fixture
async def opa() -> AsyncIterator[FakeOpa]:
    """A remote OPA under the attacker's control."""
    opa = FakeOpa()
    await opa.start()
    yield opa
    await opa.stop()


@pytest.mark.parametrize(
    "mood",
    ["500", "slow", "garbage", "redirect", "empty", "true", "list", "string", "other revision"],
)
async def test_a39_no_clear_answer_denies(
    world: World, opa: FakeOpa, recorder: Recorder, mood: str
) -> None:
    """503 within the deadline; 0 bytes at the tool; no cached allow; people are told."""
    opa.revision = await revision_of(world)
    remote = {"url": f"http://127.0.0.1:{opa.port}"}
    world.settings = {"policy": {"bundle": "policies", "engine": "remote", "remote": remote}}
    async with Gateway(world) as gateway:
        assert (await gateway.call("write", {"text": "x"}))[0] == 200
        opa.mood = mood
        status, answer = await gateway.call("write", {"text": "x"})
        assert (status, answer["reasons"][0]["id"]) == (503, "policy-unavailable")
    assert stored_alerts(world) == ["policy-unavailable"]
    assert len(recorder.received) == 2


async def revision_of(world: World) -> str:
    """Return the revision that the gateway will demand, as a first start tells it."""
    async with Gateway(world) as gateway:
        _, answer = await gateway.call("read")
        return str(answer["policy_revision"])
