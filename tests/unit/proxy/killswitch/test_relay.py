import pytest

from proxy.killswitch.lease import KillLease
from proxy.killswitch.relay import PREDECESSORS, Relay
from proxy.model.lease import Grant, HolderState, LeaseTerms, Renewal
from tests.harness.clock import Clock

TERMS = LeaseTerms(duration_s=2.0, clock_drift=0.01, pause_s=0.05)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def lease(clock: Clock) -> KillLease:
    return KillLease(TERMS, clock, lambda: "boot")


@pytest.fixture
def relay(lease: KillLease, clock: Clock) -> Relay:
    """A relay that has been up for a while, with a fresh lease of its own."""
    relay = Relay(lease)
    clock.now += 10.0
    lease.granted(Grant(lease.ask(0, 0).nonce, 2.0, (), clock.now))
    return relay


def asked(holder: str = "side", acked: int = 0) -> Renewal:
    return Renewal(holder, "nonce", acked, acked)


def test_a_relay_grants_its_own_remainder(relay: Relay, clock: Clock) -> None:
    """The bound does not grow with the depth."""
    assert relay.grant(asked()) == pytest.approx(1.98)
    clock.now += 1.5
    assert relay.grant(asked()) == pytest.approx(0.48)
    clock.now += 1.0
    assert relay.grant(asked()) == 0.0


def test_a_kill_is_obeyed_when_every_holder_obeys_it(relay: Relay, clock: Clock) -> None:
    """By acknowledgement, or because the lease has run out."""
    relay.grant(asked("one"))
    relay.grant(asked("two"))
    assert relay.obeyed(5) == 0
    relay.acknowledged("one", 5)
    assert relay.obeyed(5) == 0
    clock.now += TERMS.bound_s
    assert relay.obeyed(5) == 5


def test_nobody_below_means_nothing_to_wait_for(relay: Relay) -> None:
    """And no holder obeys more than we do."""
    assert relay.obeyed(5) == 5
    relay.grant(asked(acked=9))
    assert relay.obeyed(5) == 5


def test_holders_stand_to_a_kill(relay: Relay, clock: Clock) -> None:
    """Acknowledged, outstanding, expired."""
    relay.grant(asked("acked", acked=5))
    relay.grant(asked("behind"))
    assert relay.standing(5) == {
        "acked": HolderState.ACKED,
        "behind": HolderState.OUTSTANDING,
    }
    clock.now += TERMS.bound_s
    assert relay.standing(5)["behind"] is HolderState.EXPIRED


def test_a_renewal_never_takes_back_what_was_acknowledged(relay: Relay) -> None:
    """An older one may come later."""
    relay.grant(asked(acked=3))
    relay.acknowledged("side", 7)
    relay.grant(asked(acked=4))
    assert relay.obeyed(7) == 7


def test_who_has_left_or_is_unknown_is_not_waited_for(relay: Relay) -> None:
    """A holder says when it starts nothing any more."""
    relay.grant(asked())
    relay.left("side")
    relay.left("side")
    relay.acknowledged("side", 3)
    assert relay.standing(3) == {}


def test_a_relay_that_just_started_waits_for_its_predecessors_leases(
    lease: KillLease, clock: Clock
) -> None:
    """It cannot know whom the process before it had granted one."""
    relay = Relay(lease)
    assert relay.obeyed(3) == 0
    assert relay.standing(3) == {PREDECESSORS: HolderState.OUTSTANDING}
    clock.now += TERMS.bound_s
    assert relay.obeyed(3) == 3
    assert relay.standing(3) == {}


def test_holders_are_bounded_and_forgotten(lease: KillLease, clock: Clock) -> None:
    """Room comes back once leases are long over."""
    relay = Relay(lease, max_holders=1)
    relay.grant(asked("one"))
    relay.grant(asked("one"))
    with pytest.raises(LookupError):
        relay.grant(asked("two"))
    clock.now += 11.0
    assert relay.grant(asked("two")) == 0.0
    assert relay.terms is TERMS


def test_a_relay_knows_who_holds_a_lease_now(relay: Relay, clock: Clock) -> None:
    """Not who did."""
    relay.grant(asked("one"))
    clock.now += 2.0
    assert relay.holding() == ("one",)
    clock.now += 0.1
    assert relay.holding() == ()
