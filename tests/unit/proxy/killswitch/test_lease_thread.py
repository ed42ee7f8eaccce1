"""The main event loop is blocked, killed at and stopped; the lease is somewhere else."""

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from proxy.errors import StoreUnavailable
from proxy.killswitch.halt_file import HaltFile
from proxy.killswitch.inflight import InFlight
from proxy.killswitch.keeper import LeaseKeeper
from proxy.killswitch.lease import KillLease
from proxy.killswitch.lease_thread import LOST, LeaseThread
from proxy.killswitch.switch import KillSwitch
from proxy.model.finding import Alert
from proxy.model.kill import GLOBAL
from proxy.model.lease import LeaseTerms
from tests.harness.authority import Log

TERMS = LeaseTerms(duration_s=0.5)
BLOCKED_S = 1.5


@pytest.fixture
def authority() -> Log:
    return Log(TERMS)


@pytest.fixture
def flights() -> InFlight:
    return InFlight()


@pytest.fixture
async def switch(kill_log: Any, flights: InFlight, tmp_path: Path) -> AsyncIterator[KillSwitch]:
    switch = KillSwitch(kill_log, HaltFile(tmp_path / "halt.json"), flights)
    await switch.start()
    yield switch
    await switch.stop()


@pytest.fixture
def lease() -> KillLease:
    return KillLease(TERMS)


@pytest.fixture
def alerts() -> list[Alert]:
    return []


@pytest.fixture
async def thread(
    authority: Log, lease: KillLease, switch: KillSwitch, alerts: list[Alert]
) -> AsyncIterator[LeaseThread]:
    @asynccontextmanager
    async def connect() -> AsyncIterator[Log]:
        yield authority

    async def raise_alert(alert: Alert) -> None:
        alerts.append(alert)

    thread = LeaseThread(connect, partial(LeaseKeeper, lease, switch), raise_alert)
    yield thread
    await thread.stop()


def block(meanwhile: Callable[[], object] = lambda: None) -> None:
    """Keep the main loop from everything for three leases; do something in the middle of it."""
    timer = threading.Timer(BLOCKED_S / 2, meanwhile)
    timer.start()
    time.sleep(BLOCKED_S)  # as a callback does that computes
    timer.join()


async def until(condition: Callable[[], object]) -> None:
    """Wait up to five seconds for a condition."""
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


async def test_a_main_loop_that_is_blocked_keeps_its_lease_and_sees_kills(
    thread: LeaseThread, lease: KillLease, switch: KillSwitch, authority: Log
) -> None:
    """Three leases long; nothing runs on the main loop between its end and the first look."""
    await thread.start()
    block(authority.kill)
    assert lease.fresh()
    assert switch.covers((GLOBAL,))
    assert authority.acked == [1]


async def test_planted_kept_on_the_main_loop_the_lease_is_lost(
    lease: KillLease, switch: KillSwitch, authority: Log
) -> None:
    """What the thread is for: the same block, and neither lease nor kill is there after it."""
    keeper = LeaseKeeper(lease, switch, authority)
    await keeper.start()
    block(authority.kill)
    assert not lease.fresh()
    assert not switch.covers((GLOBAL,))
    assert authority.acked == []
    await keeper.stop()


async def test_streams_and_calls_are_cut_when_the_main_loop_turns(
    thread: LeaseThread, switch: KillSwitch, flights: InFlight, authority: Log
) -> None:
    """Cutting belongs to the loop that runs them; news go to those who wait for some."""
    await thread.start()
    with flights.stream((GLOBAL,)) as closing:
        news = asyncio.Event()
        switch.on_news(news.set)
        block(authority.kill)
        assert not closing.is_set()
        await asyncio.wait_for(news.wait(), 1)
        assert closing.is_set()


async def test_what_looked_before_the_kill_holds_the_acknowledgement(
    thread: LeaseThread, switch: KillSwitch, authority: Log
) -> None:
    """`effective` is never early: the main loop had looked, and has still to write."""
    await thread.start()
    switch.threshold.enter("stp_1")
    block(authority.kill)
    assert (switch.synced, authority.acked) == (1, [])
    switch.threshold.leave("stp_1")
    await until(lambda: authority.acked == [1])


async def test_kills_of_ours_and_of_others_at_once_are_all_known(
    thread: LeaseThread, switch: KillSwitch, authority: Log
) -> None:
    """Two writers, no lost update; what is synced never falls."""
    await thread.start()
    seen: list[int] = []
    for _ in range(20):
        authority.kill()
        await switch.kill((GLOBAL,), "oncall", "")
        seen.append(switch.synced)
    await until(lambda: switch.synced == 20)
    assert len(switch.state.active) == 20
    assert seen == sorted(seen)


async def test_no_first_lease_no_start(thread: LeaseThread, authority: Log) -> None:
    """The error is that of the authority, on the loop that waits for the start."""
    authority.broken = True
    with pytest.raises(StoreUnavailable):
        await thread.start()
    assert not running()


async def test_a_start_that_is_given_up_leaves_no_thread(
    thread: LeaseThread, authority: Log
) -> None:
    """SIGTERM while the authority says nothing."""
    authority.silent = True
    starting = asyncio.create_task(thread.start())
    await until(lambda: authority.asked)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert not running()


async def test_a_start_that_is_given_up_may_still_succeed_there(
    thread: LeaseThread, lease: KillLease, authority: Log
) -> None:
    """Then the lease is given up at once."""
    authority.late_s = 0.1
    starting = asyncio.create_task(thread.start())
    await until(lambda: authority.asked)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert authority.gone == [lease.holder]
    assert not running()


async def test_the_end_gives_the_lease_up(
    thread: LeaseThread, lease: KillLease, authority: Log
) -> None:
    """Nobody has to wait for it; ending it again changes nothing."""
    await thread.start()
    await thread.stop()
    await thread.stop()
    assert authority.gone == [lease.holder]
    assert not lease.fresh()
    assert not running()


async def test_what_was_never_started_is_stopped_already(thread: LeaseThread) -> None:
    """As every part of a gateway that did not come up."""
    await thread.stop()
    assert not running()


async def test_a_thread_that_dies_leaves_the_lease_to_run_out_and_is_told(
    thread: LeaseThread,
    lease: KillLease,
    authority: Log,
    alerts: list[Alert],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Fail closed: no lease, no call. It does not leave, since calls may start until then."""
    await thread.start()
    with caplog.at_level(logging.CRITICAL):
        authority.wrong = ValueError("unforeseen")
        await until(lambda: alerts)
    assert [(alert.kind, alert.message) for alert in alerts] == [("kill-lease-lost", LOST)]
    assert LOST in caplog.text
    assert authority.gone == []
    await until(lambda: not lease.fresh())


def running() -> bool:
    """Whether there is a thread that keeps a lease."""
    return any(thread.name == "kill-lease" for thread in threading.enumerate())
