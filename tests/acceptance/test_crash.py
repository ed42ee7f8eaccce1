"""kill -9 at any point of a write: no effect without an earlier intent, none twice or lost."""

import contextlib
from typing import Any

import aiohttp
import pytest

from tests.harness.crashing import MARK, POINTS
from tests.harness.gateway import Gateway
from tests.harness.recorder import Recorder
from tests.harness.world import World

HAPPENED = {"after-send": True, "after-settle": True}


async def crash(world: World, point: str, tool: str) -> None:
    """Start a gateway that dies at that point, and make it."""
    world.program = ("tests.harness.crashing", point)
    gateway = Gateway(world)
    await gateway.start()
    with contextlib.suppress(aiohttp.ClientError):
        await gateway.call(tool, {"text": MARK}, idempotency_key="k1")
    await gateway.kill9()
    world.program = ("proxy",)


@pytest.mark.parametrize("tool", ["write", "opaque"])
@pytest.mark.parametrize("point", POINTS)
async def test_a_write_survives_a_crash_exactly_once_or_not_at_all(
    world: World, recorder: Recorder, point: str, tool: str
) -> None:
    """The tool's own record against the ledger after the restart; nothing is sent again."""
    await crash(world, point, tool)
    assert len(recorder.received) == (1 if HAPPENED.get(point) else 0)
    async with Gateway(world) as again:
        steps = await unknown(again)
        ended = point in {"before-reserve", "after-settle"}
        assert len(steps) == (0 if ended else 1)
        _, answer = await again.call(tool, {"text": MARK + " no more"})
        assert answer["outcome"] == "done"
    assert len(recorder.received) == (2 if HAPPENED.get(point) else 1)


async def test_the_same_key_after_a_crash_is_not_executed_again(
    world: World, recorder: Recorder
) -> None:
    """An unknown outcome is for a person; a retry with its key is refused."""
    await crash(world, "after-send", "write")
    async with Gateway(world) as again:
        status, answer = await again.call("write", {"text": MARK}, idempotency_key="k1")
        assert (status, answer["reasons"][0]["id"]) == (409, "idempotency-key-in-use")
    assert len(recorder.received) == 1


async def test_a_second_process_does_not_get_the_ledger(gateway: Gateway, world: World) -> None:
    """Exclusive to one process; the message says what to do."""
    with pytest.raises(RuntimeError, match="ended with 3"):
        await Gateway(world).start()
    assert (await gateway.call("read"))[0] == 200


async def unknown(gateway: Gateway) -> list[dict[str, Any]]:
    """Return the intents whose outcome is unknown."""
    status, listed = await gateway.operate("GET", "/v1/intents?state=unknown")
    assert status == 200
    rows: list[dict[str, Any]] = listed["intents"]
    return rows
