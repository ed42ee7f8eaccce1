"""A55: a cost that is negative, no number, no whole number or too large; a ledger that is away.

The policy here is the worst there could be: it takes the cost from the agent's own arguments.
"""

import sqlite3
from contextlib import closing
from typing import Any

from tests.harness.gateway import Gateway
from tests.harness.recorder import Recorder
from tests.harness.world import World

POLICY = """package detent.main

decision := {
	"verdict": "allow",
	"reasons": [{"id": "ok", "message": "Fine."}],
	"obligations": [],
	"grant": null,
	"cost": {"risk": input.context.arguments.data},
	"labels": [],
}

visible := []
"""
ABSURD: list[Any] = [
    -1, -1_000_000, 0.5, 1.5, -0.5, 1e308, -1e308, 2**53 - 1, 10**12, 1_000_000_001,
    "1", "NaN", "-1", None, True, [1], {"risk": 1}, [], "",
]  # fmt: skip
REFUSED = {(503, "policy-unavailable"), (400, "number-out-of-range")}
LIMIT = 5


def gullible(world: World) -> World:
    """Replace the policies by one that believes the agent; give its session five points."""
    world.write()
    for file in world.bundle.rglob("*.rego"):
        file.unlink()
    (world.bundle / "main.rego").write_text(POLICY)
    world.budgets = {"default": {"session_risk": LIMIT, "agent_risk": LIMIT, "window_s": 60}}
    return world


async def test_a55_an_absurd_cost_is_no_decision(world: World, recorder: Recorder) -> None:
    """503 for each of them, 0 bytes at the tool, and the budget is as it was."""
    async with Gateway(gullible(world)) as gateway:
        for cost in ABSURD:
            status, answer = await gateway.call("write", {"data": cost})
            known = answer.get("code") or answer["reasons"][0]["id"]
            assert (status, known) in REFUSED, cost
        assert recorder.received == []
        assert (await gateway.call("write", {"data": LIMIT + 1}))[0] == 429
        status, answer = await gateway.call("write", {"data": LIMIT})
        assert (status, answer["budget"]["risk"]["used"]) == (200, LIMIT)
        assert (await gateway.call("write", {"data": 1}))[0] == 429
        assert (await gateway.call("write", {"data": 0}))[0] == 200
    assert len(recorder.received) == 2


async def test_a55_numbers_that_json_does_not_have_are_refused(
    gateway: Gateway, recorder: Recorder
) -> None:
    """NaN and Infinity never become arguments, whatever a policy would make of them."""
    for number in (b"NaN", b"-Infinity", b"1e400", b"9" * 400):
        body = b'{"server":"rec","tool":"write","arguments":{"data":%b}}' % number
        assert (await gateway.ask("POST", "/v1/calls", body))[0] == 400
    assert recorder.received == []


async def test_a55_a_ledger_that_is_away_lends_no_points(
    gateway: Gateway, world: World, recorder: Recorder
) -> None:
    """Locked by another: nothing is spent and nothing sent, a read as little as a write."""
    with closing(sqlite3.connect(world.database, isolation_level=None)) as blocker:
        blocker.execute("BEGIN EXCLUSIVE")
        for tool in ("write", "read"):
            assert (await gateway.call(tool))[0] == 503
        blocker.execute("ROLLBACK")
    assert recorder.received == []
    assert (await gateway.call("write"))[1]["budget"]["risk"]["used"] == 1
