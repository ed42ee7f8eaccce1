import asyncio
from typing import Any

from proxy.model.ledger import Outcome

LEASE_S = 2.0


def late_starts(house: Any) -> list[str]:
    """Return what people were told of late starts."""
    return [alert.message for alert in house.alerts if alert.kind == "late-start"]


async def test_no_call_is_admitted_without_a_fresh_lease(house: Any) -> None:
    """Reads included; a new grant lets them go on."""
    await house.caller()
    house.clock.now += LEASE_S
    for tool in ("read_file", "write_file"):
        answer = await house.call(tool)
        assert (answer.reasons[0].id, answer.http) == ("kill-lease-expired", 503)
    assert house.tool.received == []


async def test_a_lease_that_ends_on_the_way_sends_nothing(house: Any) -> None:
    """The last look stands next to the write; the ledger says that nothing was sent."""
    house.tool.before_send = lambda: setattr(house.clock, "now", house.clock.now + LEASE_S)
    answer = await house.call()
    assert (answer.outcome, answer.reasons[0].id) == (Outcome.DENIED, "kill-lease-expired")
    assert house.tool.received == []


async def test_a_start_after_the_lease_is_told(house: Any) -> None:
    """Frozen between the look and the write: the tool was called, late, and people hear of it."""
    house.tool.after_look = lambda: setattr(house.clock, "now", house.clock.now + LEASE_S + 5)
    await house.call()
    assert len(house.tool.received) == 1
    await asyncio.sleep(0)
    (told,) = late_starts(house)
    assert "repo/write_file started 5." in told


async def test_a_start_in_time_is_nothing_to_tell(house: Any) -> None:
    """As every day."""
    await house.call()
    await asyncio.sleep(0)
    assert late_starts(house) == []
