import asyncio
from collections.abc import Callable
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


async def test_what_is_told_names_the_agent(house: Any) -> None:
    """A gateway takes alerts of its sidecars about their own agents only."""
    house.tool.after_look = lambda: setattr(house.clock, "now", house.clock.now + LEASE_S + 5)
    answer = await house.call()
    await asyncio.sleep(0)
    (alert,) = house.alerts
    assert (alert.tenant, alert.agent, alert.step_id) == ("acme", "loop", answer.step_id)


async def test_a_call_stands_on_the_threshold_until_it_is_written(house: Any) -> None:
    """Whoever says that a kill is obeyed waits for it; a refused call is not waited for."""
    seen: list[int] = []
    threshold = house.kill_switch.threshold
    house.tool.after_look = lambda: seen.append(len(threshold.standing()))
    await house.call()
    await asyncio.sleep(0)
    assert (seen, threshold.standing()) == ([1], frozenset())
    house.tool.before_send = lambda: setattr(house.clock, "now", house.clock.now + LEASE_S)
    await house.call()
    assert threshold.standing() == frozenset()


async def test_the_lease_is_read_before_the_kill_state(house: Any) -> None:
    """Else a call could pass on a state from before a kill and a lease from after it."""
    order: list[str] = []

    def noted(name: str, look: Callable[..., Any]) -> Callable[..., Any]:
        def noting(*given: Any) -> Any:
            order.append(name)
            return look(*given)

        return noting

    house.lease.fresh_until = noted("lease", house.lease.fresh_until)
    house.kill_switch.covers = noted("kills", house.kill_switch.covers)
    await house.call()
    assert order[-2:] == ["lease", "kills"]


async def test_a_start_in_time_is_nothing_to_tell(house: Any) -> None:
    """As every day."""
    await house.call()
    await asyncio.sleep(0)
    assert late_starts(house) == []
