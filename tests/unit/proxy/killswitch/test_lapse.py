import asyncio
import math

import pytest

from proxy.killswitch.inflight import InFlight
from proxy.killswitch.lapse import Lapse
from proxy.killswitch.lease import KillLease
from proxy.model.kill import GLOBAL
from proxy.model.lease import Grant, LeaseTerms
from tests.harness.clock import Clock, fresh_lease

TURN_S = LeaseTerms().renew_every_s


@pytest.mark.parametrize(
    ("over_s", "closes"),
    [(-1.0, False), (TURN_S - 0.01, False), (TURN_S + 0.01, True)],
    ids=["fresh", "just over", "over"],
)
def test_streams_are_closed_when_the_lease_is_over(over_s: float, closes: bool) -> None:
    """One renewal later, so that a database that is back at once costs nothing."""
    clock, flights = Clock(), InFlight()
    lease = fresh_lease(clock)
    lapse = Lapse(lease, flights)
    lapse.look()
    with flights.stream((GLOBAL,)) as closing:
        clock.now = lease.until + over_s
        lapse.look()
        assert closing.is_set() is closes


def test_being_granted_nothing_keeps_no_stream_open() -> None:
    """A relay that has no lease itself answers, but with no time left."""
    clock, flights = Clock(), InFlight()
    lease = fresh_lease(clock)
    lapse = Lapse(lease, flights)
    lapse.look()
    with flights.stream((GLOBAL,)) as closing:
        clock.now = lease.until + TURN_S + 0.01
        lease.granted(Grant(lease.ask(0, 0).nonce, 0.0, (), clock.now))
        lapse.look()
        assert closing.is_set()


def test_who_needs_nobody_s_word_closes_nothing() -> None:
    """Every kill passes through this process."""
    clock, flights = Clock(), InFlight()
    lease = KillLease(LeaseTerms(), clock, is_authority=True)
    assert lease.until == math.inf
    with flights.stream((GLOBAL,)) as closing:
        clock.now += 3_600
        Lapse(lease, flights).look()
        assert not closing.is_set()


async def test_the_lease_is_looked_at_until_the_end() -> None:
    """A stream that is opened after the lease was over is closed as well."""
    clock, flights = Clock(), InFlight()
    terms = LeaseTerms(duration_s=0.02)
    lease = KillLease(terms, clock)
    watching = asyncio.create_task(Lapse(lease, flights).watch())
    await asyncio.sleep(0)
    clock.now += 1
    for _ in range(2):
        with flights.stream((GLOBAL,)) as closing:
            await asyncio.wait_for(closing.wait(), 5)
    watching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watching
