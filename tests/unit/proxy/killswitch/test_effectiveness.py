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


@pytest.fixture
def lease(clock: Clock) -> KillLease:
    return KillLease(TERMS, clock)


async def test_a_kill_waits_for_those_who_have_not_acknowledged(lease: KillLease) -> None:
    """We ourselves obey already, whatever the log still says of us."""
    watch = EffectWatch(lease, Beside(**{lease.holder: 0}, acked=3, behind=2))
    found = await watch.of(3)
    assert found.holders == {lease.holder: ACKED, "acked": ACKED, "behind": OUTSTANDING}
    assert not found.effective


async def test_after_the_bound_everybody_has_expired(lease: KillLease, clock: Clock) -> None:
    """Counted by our clock from when the kill was known to be committed."""
    watch = EffectWatch(lease, Beside(behind=2))
    watch.heard(3)
    clock.now += TERMS.bound_s - 0.01
    assert not (await watch.of(3)).effective
    clock.now += 0.02
    found = await watch.of(3)
    assert found.holders == {lease.holder: ACKED, "behind": EXPIRED}
    assert found.effective


async def test_a_kill_heard_again_keeps_its_deadline(lease: KillLease, clock: Clock) -> None:
    """The first word counts."""
    watch = EffectWatch(lease, Beside())
    watch.heard(3)
    clock.now += 5.0
    watch.heard(3)
    deadline = (await watch.of(3)).deadline
    assert abs(deadline - datetime.now(UTC) - timedelta(seconds=TERMS.bound_s)) < timedelta(
        seconds=1
    )


async def test_a_log_that_cannot_be_read_is_no_effect(lease: KillLease, clock: Clock) -> None:
    """Only the bound helps then."""
    beside = Beside()
    beside.broken = True
    watch = EffectWatch(lease, beside)
    assert (await watch.of(3)).holders[UNREADABLE] is OUTSTANDING
    clock.now += TERMS.bound_s
    assert (await watch.of(3)).effective


async def test_holders_below_count_as_well(lease: KillLease) -> None:
    """Sidecars that are attached to us."""
    watch = EffectWatch(lease, Beside(), Relay(lease))
    assert (await watch.of(1)).holders == {lease.holder: ACKED, PREDECESSORS: OUTSTANDING}
