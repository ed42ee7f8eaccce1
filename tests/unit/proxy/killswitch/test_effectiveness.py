from datetime import UTC, datetime, timedelta

import pytest

from proxy.errors import StoreUnavailable
from proxy.killswitch.effectiveness import UNREADABLE, EffectWatch
from proxy.killswitch.lease import KillLease
from proxy.killswitch.relay import PREDECESSORS, Relay
from proxy.model.lease import HolderState, LeaseTerms
from tests.harness.clock import Clock

TERMS = LeaseTerms()
ACKED, EXPIRED, OUTSTANDING = HolderState.ACKED, HolderState.EXPIRED, HolderState.OUTSTANDING


class Beside:
    """Other holders, as the kill log knows them."""

    def __init__(self, **acked: int) -> None:
        self.acked = acked
        self.broken = False

    async def holders(self) -> dict[str, int]:
        if self.broken:
            raise StoreUnavailable("gone")
        return self.acked


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def test_a_kill_waits_for_those_who_have_not_acknowledged(clock: Clock) -> None:
    """We ourselves obey already, whatever the log still says of us."""
    watch = EffectWatch(TERMS, Beside(me=0, acked=3, behind=2), None, clock)
    found = await watch.of(3, "me")
    assert found.holders == {"me": ACKED, "acked": ACKED, "behind": OUTSTANDING}
    assert not found.effective


async def test_after_the_bound_everybody_has_expired(clock: Clock) -> None:
    """Counted by our clock from when the kill was known to be committed."""
    watch = EffectWatch(TERMS, Beside(behind=2), None, clock)
    watch.heard(3)
    clock.now += TERMS.bound_s - 0.01
    assert not (await watch.of(3, "me")).effective
    clock.now += 0.02
    found = await watch.of(3, "me")
    assert found.holders == {"me": ACKED, "behind": EXPIRED}
    assert found.effective


async def test_a_kill_heard_again_keeps_its_deadline(clock: Clock) -> None:
    """The first word counts."""
    watch = EffectWatch(TERMS, Beside(), None, clock)
    watch.heard(3)
    clock.now += 5.0
    watch.heard(3)
    deadline = (await watch.of(3, "me")).deadline
    assert abs(deadline - datetime.now(UTC) - timedelta(seconds=TERMS.bound_s)) < timedelta(
        seconds=1
    )


async def test_a_log_that_cannot_be_read_is_no_effect(clock: Clock) -> None:
    """Only the bound helps then."""
    beside = Beside()
    beside.broken = True
    watch = EffectWatch(TERMS, beside, None, clock)
    assert (await watch.of(3, "me")).holders[UNREADABLE] is OUTSTANDING
    clock.now += TERMS.bound_s
    assert (await watch.of(3, "me")).effective


async def test_holders_below_count_as_well(clock: Clock) -> None:
    """Sidecars that are attached to us."""
    relay = Relay(KillLease(TERMS, clock))
    watch = EffectWatch(TERMS, Beside(), relay, clock)
    assert (await watch.of(1, "me")).holders == {"me": ACKED, PREDECESSORS: OUTSTANDING}
