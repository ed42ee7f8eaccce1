import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from proxy.killswitch import switch as switch_module
from proxy.killswitch.halt_file import HaltFile
from proxy.killswitch.inflight import InFlight
from proxy.killswitch.switch import KillSwitch
from proxy.model.kill import GLOBAL, KillAction, KillEntry, KillOrder, KillVerdict, Scope, ScopeKind

AGENT = Scope(ScopeKind.AGENT, "acme/loop")
OTHER = Scope(ScopeKind.AGENT, "acme/other")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries and time-outs in milliseconds."""
    monkeypatch.setattr(switch_module, "RETRY_S", 0.01)
    monkeypatch.setattr(switch_module, "COMMIT_TIMEOUT_S", 0.05)


@pytest.fixture
def flights() -> InFlight:
    return InFlight()


@pytest.fixture
async def switch(kill_log: Any, flights: InFlight, tmp_path: Path) -> AsyncIterator[KillSwitch]:
    switch = KillSwitch(kill_log, HaltFile(tmp_path / "halt.json"), flights)
    await switch.start()
    yield switch
    await switch.stop()


async def until(condition: Any) -> None:
    """Wait up to a second for a condition."""
    async with asyncio.timeout(1):
        while not condition():
            await asyncio.sleep(0.005)


async def test_a_kill_is_committed_and_covers_its_scope(switch: KillSwitch) -> None:
    """The answer carries the epoch; other scopes stay free."""
    report = await switch.kill((AGENT,), "oncall", "runaway")
    assert (report.epoch, report.committed) == (1, True)
    assert switch.covers([GLOBAL, AGENT])
    assert not switch.covers([GLOBAL, OTHER])


async def test_a_lifted_kill_still_covers_what_was_decided_before_it(switch: KillSwitch) -> None:
    """A call admitted at epoch 0 does not go on after kill and lift."""
    await switch.kill((AGENT,), "oncall", "runaway")
    entry = await switch.lift(1, "lead", "over")
    assert entry.epoch == 2
    assert not switch.covers([AGENT])
    assert switch.covers([AGENT], since_epoch=0)
    assert not switch.covers([AGENT], since_epoch=2)
    assert not switch.covers([OTHER], since_epoch=0)


async def test_lifting_what_is_not_killed_is_an_error(switch: KillSwitch) -> None:
    """There is nothing to lift at epoch 7."""
    with pytest.raises(LookupError):
        await switch.lift(7, "lead", "over")


async def test_a_store_that_fails_leaves_a_local_halt_that_is_committed_later(
    switch: KillSwitch, kill_log: Any, tmp_path: Path
) -> None:
    """503 for the operator, halted all the same, and the halt file holds it meanwhile."""
    kill_log.broken = True
    report = await switch.kill((GLOBAL,), "oncall", "disk full")
    assert (report.committed, report.epoch) == (False, None)
    assert switch.covers([GLOBAL, AGENT])
    assert len(list(tmp_path.iterdir())) == 1
    await asyncio.sleep(0.03)
    kill_log.broken = False
    await until(lambda: not switch.pending())
    assert switch.covers([GLOBAL, AGENT])
    await until(lambda: not list(tmp_path.iterdir()))


async def test_a_store_that_hangs_does_not_hold_up_the_halt(
    switch: KillSwitch, kill_log: Any
) -> None:
    """The answer comes after the commit time-out, the halt at once."""
    kill_log.hanging = True
    waiting = asyncio.create_task(switch.kill((GLOBAL,), "oncall", "hang"))
    await asyncio.sleep(0)
    assert switch.covers([GLOBAL, AGENT])
    assert not (await waiting).committed


async def test_a_restart_honours_the_halt_file(
    kill_log: Any, flights: InFlight, tmp_path: Path
) -> None:
    """A kill that was never committed holds in the next process and is committed by it."""
    kill_log.broken = True
    first = KillSwitch(kill_log, HaltFile(tmp_path / "halt.json"), flights)
    await first.start()
    await first.kill((GLOBAL,), "oncall", "crash")
    await first.stop()
    kill_log.broken = False
    second = KillSwitch(kill_log, HaltFile(tmp_path / "halt.json"), InFlight())
    await second.start()
    assert second.covers([GLOBAL, AGENT])
    await until(lambda: second.state.epoch == 1)
    await second.stop()


async def test_a_restart_folds_the_log(kill_log: Any, switch: KillSwitch, tmp_path: Path) -> None:
    """A committed kill needs no halt file."""
    await switch.kill((AGENT,), "oncall", "runaway")
    again = KillSwitch(kill_log, HaltFile(tmp_path / "halt.json"), InFlight())
    await again.start()
    assert again.covers([AGENT])
    await again.stop()


async def test_a_halt_file_left_by_a_committed_kill_is_removed(
    kill_log: Any, switch: KillSwitch, tmp_path: Path
) -> None:
    """A crash between commit and cleaning up does not make a second kill."""
    await switch.kill((AGENT,), "oncall", "runaway")
    HaltFile(tmp_path / "halt.json").write((kill_log.entries[0].order,))
    again = KillSwitch(kill_log, HaltFile(tmp_path / "halt.json"), InFlight())
    await again.start()
    assert again.pending() == ()
    assert list(tmp_path.iterdir()) == []
    await again.stop()


async def test_processes_with_one_order_id_make_one_kill(
    kill_log: Any, switch: KillSwitch, tmp_path: Path
) -> None:
    """So one lift is enough for all workers of a gateway."""
    other = KillSwitch(kill_log, HaltFile(tmp_path / "halt.json"), InFlight())
    await other.start()
    reports = [await one.kill((GLOBAL,), "signal", "halt", "kil_x") for one in (switch, other)]
    assert [report.epoch for report in reports] == [1, 1]
    await other.stop()


async def test_a_halt_file_that_cannot_be_written_leaves_the_halt_in_memory(
    kill_log: Any, flights: InFlight, tmp_path: Path
) -> None:
    """A full disk does not stop the kill."""
    switch = KillSwitch(kill_log, HaltFile(tmp_path / "gone" / "halt.json"), flights)
    await switch.start()
    await switch.kill((AGENT,), "oncall", "disk full")
    assert switch.covers([AGENT])
    await switch.stop()


async def test_each_call_in_flight_gets_a_verdict(switch: KillSwitch, flights: InFlight) -> None:
    """Unknown at first, then what was observed; the last word stands and is durable."""
    with flights.track("stp_1", [AGENT]) as flight:
        flight.sent = True
        flight.settling()
        report = await switch.kill((AGENT,), "oncall", "runaway")
        assert report.in_flight == 1
        assert await switch.verdicts(1) == {"stp_1": KillVerdict.UNKNOWN}
        await switch.landed(flight, KillVerdict.DONE)
    assert await switch.verdicts(1) == {"stp_1": KillVerdict.DONE}
    assert await switch.verdicts(9) == {}


async def test_a_verdict_that_comes_before_the_commit_is_kept(
    switch: KillSwitch, flights: InFlight, kill_log: Any
) -> None:
    """The call lands while the store is down; the verdict is stored with the kill later."""
    kill_log.broken = True
    with flights.track("stp_1", [AGENT]) as flight:
        flight.settling()
        await switch.kill((AGENT,), "oncall", "disk full")
        await switch.landed(flight, KillVerdict.FAILED)
    kill_log.broken = False
    await until(lambda: kill_log.verdicts.get(1) == {"stp_1": KillVerdict.FAILED})


async def test_verdicts_the_store_does_not_take_are_still_answered(
    switch: KillSwitch, flights: InFlight, kill_log: Any
) -> None:
    """A store that fails after the commit loses no verdict of this process."""
    with flights.track("stp_1", [AGENT]) as flight:
        flight.settling()
        await switch.kill((AGENT,), "oncall", "runaway")
        kill_log.broken = True
        await switch.landed(flight, KillVerdict.DONE)
    assert await switch.verdicts(1) == {"stp_1": KillVerdict.DONE}


async def test_a_kill_committed_elsewhere_is_obeyed_at_once(
    switch: KillSwitch, kill_log: Any, flights: InFlight
) -> None:
    """Calls and streams of its scope are cut; hearing it again changes nothing."""
    order = KillOrder("kil_x", KillAction.KILL, (AGENT,), "oncall", "", datetime.now(UTC))
    entry = await kill_log.append_kill(order)
    with flights.stream([AGENT]) as closing:
        assert switch.learn([entry])
        assert closing.is_set()
    assert switch.covers([AGENT])
    assert not switch.learn([entry])
    assert switch.synced == switch.state.epoch == entry.epoch


async def test_a_lift_committed_elsewhere_is_obeyed_too(switch: KillSwitch, kill_log: Any) -> None:
    """The scope is free again for what is decided from then on."""
    report = await switch.kill((AGENT,), "oncall", "")
    at = datetime.now(UTC)
    lift = KillOrder("lft_x", KillAction.LIFT, (AGENT,), "lead", "", at, lifts=report.epoch)
    switch.learn([await kill_log.append_kill(lift)])
    assert not switch.covers([AGENT])


async def test_a_kill_of_ours_may_be_heard_before_its_commit_returns(
    switch: KillSwitch, kill_log: Any
) -> None:
    """A push can be faster than the answer: the kill stands once."""
    killing = asyncio.create_task(switch.kill((AGENT,), "oncall", ""))
    await until(lambda: kill_log.entries)
    switch.learn(kill_log.entries)
    report = await killing
    assert [entry.epoch for entry in switch.state.active] == [report.epoch]


async def test_a_kill_of_ours_that_is_heard_first_cuts_nothing_twice(
    switch: KillSwitch, kill_log: Any, flights: InFlight
) -> None:
    """Heard on another thread while its commit has still to return: it was obeyed at once."""
    kill_log.hanging = True
    with flights.track("stp_1", [AGENT]) as flight:
        flight.settling()
        killing = asyncio.create_task(switch.kill((AGENT,), "oncall", ""))
        await until(switch.pending)
        (order,) = switch.pending()
        switch.learn([KillEntry(1, order)])
        assert flight.killed_by == [order.id]
    assert await switch.verdicts(1) == {"stp_1": KillVerdict.NEVER_DISPATCHED}
    await killing


async def test_our_own_order_does_not_hide_those_before_it(
    switch: KillSwitch, kill_log: Any
) -> None:
    """A kill that another process committed just before ours is still to be heard."""
    order = KillOrder("kil_x", KillAction.KILL, (OTHER,), "oncall", "", datetime.now(UTC))
    await kill_log.append_kill(order)
    report = await switch.kill((AGENT,), "oncall", "")
    assert (report.epoch, switch.synced) == (2, 0)
    assert switch.learn(kill_log.entries)
    assert switch.covers([OTHER])
    assert switch.synced == 2


async def test_news_are_in_force_when_they_are_told(switch: KillSwitch, kill_log: Any) -> None:
    """Each time the log that is known has grown, and not when it has not."""
    order = KillOrder("kil_1", KillAction.KILL, (AGENT,), "oncall", "", datetime.now(UTC))
    told: list[tuple[bool, int]] = []
    switch.on_news(lambda: told.append((switch.covers([AGENT]), len(switch.since(0)))))
    for _ in range(2):
        switch.learn([await kill_log.append_kill(order)] if not told else kill_log.entries)
    assert told == [(True, 1)]
