import sqlite3
from datetime import UTC, datetime
from typing import Any

from proxy.model.kill import GLOBAL, KillAction, KillEntry, KillOrder
from proxy.model.ledger import IntentState, Outcome


async def test_the_tool_gets_the_canonical_bytes(house: Any) -> None:
    """The very object that was decided on."""
    await house.call(arguments={"path": "a"})
    assert house.tool.received == [b'{"path":"a"}']


async def test_a_kill_right_before_the_first_byte_sends_nothing(house: Any) -> None:
    """The last look stands next to the write (A46)."""
    order = KillOrder("kil", KillAction.KILL, (GLOBAL,), "oncall", "now", datetime.now(UTC))
    house.tool.before_send = lambda: house.kill_switch._pending.update(kil=order)
    answer = await house.call()
    assert answer.reasons[0].id == "killed"
    assert house.tool.received == []
    house.kill_switch._pending.clear()


async def test_a_kill_and_lift_between_reserve_and_send_sends_nothing(house: Any) -> None:
    """A decision from before the kill is not used after the lift."""
    at = datetime.now(UTC)
    kill = KillEntry(1, KillOrder("k", KillAction.KILL, (GLOBAL,), "oncall", "now", at))
    lift = KillEntry(2, KillOrder("l", KillAction.LIFT, (GLOBAL,), "lead", "over", at, lifts=1))
    house.tool.before_send = lambda: house.kill_switch._known.add((kill, lift), follow=True)
    answer = await house.call()
    assert answer.reasons[0].id == "killed"
    assert house.tool.received == []


async def test_an_opaque_tool_is_marked_sending_first(house: Any) -> None:
    """After a crash a person can see that it may have been sent."""
    states: list[str] = []

    def look() -> None:
        with sqlite3.connect(house.store._database._path) as reader:
            states.append(reader.execute("SELECT state FROM steps").fetchone()[0])

    house.tool.before_send = look
    await house.call("read_file")
    assert states == [IntentState.SENDING.value]


async def test_a_server_that_is_no_longer_configured_fails_the_call(house: Any) -> None:
    """Nothing was sent, and the ledger says so."""
    house.registry._upstreams.clear()
    answer = await house.call()
    assert (answer.outcome, answer.http) == (Outcome.FAILED, 502)
