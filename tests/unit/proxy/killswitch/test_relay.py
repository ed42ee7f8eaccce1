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


def grant(relay: Relay, *renewals: Renewal) -> float:
    """Return for how long the relay lets these start calls; it grants to all of them."""
    remaining_s, granted = relay.grant([(one.holder, one) for one in renewals])
    assert granted == [one.nonce for one in renewals]
    return remaining_s


def asked(holder: str = "side", acked: int = 0) -> Renewal:
    return Renewal(holder, "nonce", acked, acked)


def test_a_relay_grants_its_own_remainder(relay: Relay, clock: Clock) -> None:
    """The bound does not grow with the depth."""
    assert grant(relay, asked()) == pytest.approx(1.98)
    clock.now += 1.5
    assert grant(relay, asked(), asked("beside")) == pytest.approx(0.48)
    clock.now += 1.0
    assert grant(relay, asked()) == 0.0


def test_a_kill_is_obeyed_when_every_holder_obeys_it(relay: Relay, clock: Clock) -> None:
    """By acknowledgement, or because the lease has run out."""
    grant(relay, asked("one"))
    grant(relay, asked("two"))
    assert relay.obeyed(5) == 0
    relay.acknowledged("one", 5)
    assert relay.obeyed(5) == 0
    clock.now += TERMS.bound_s
    assert relay.obeyed(5) == 5


def test_nobody_below_means_nothing_to_wait_for(relay: Relay) -> None:
    """And no holder obeys more than we do."""
    assert relay.obeyed(5) == 5
    grant(relay, asked(acked=9))
    assert relay.obeyed(5) == 5


def test_holders_stand_to_a_kill(relay: Relay, clock: Clock) -> None:
    """Acknowledged, outstanding, expired."""
    grant(relay, asked("acked", acked=5))
    grant(relay, asked("behind"))
    assert relay.standing(5) == {
        "acked": HolderState.ACKED,
        "behind": HolderState.OUTSTANDING,
    }
    clock.now += TERMS.bound_s
    assert relay.standing(5)["behind"] is HolderState.EXPIRED


def test_a_renewal_never_takes_back_what_was_acknowledged(relay: Relay) -> None:
    """An older one may come later."""
    grant(relay, asked(acked=3))
    relay.acknowledged("side", 7)
    grant(relay, asked(acked=4))
    assert relay.obeyed(7) == 7


def test_who_has_left_or_is_unknown_is_not_waited_for(relay: Relay) -> None:
    """A holder says when it starts nothing any more."""
    grant(relay, asked())
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
    grant(relay, asked("one"))
    grant(relay, asked("one"))
    for _ in range(2):
        assert relay.grant((("two", asked("two")),)) == (0.0, [])
        clock.now += 5.5
    assert grant(relay, asked("two")) == 0.0
    assert relay.terms is TERMS


def test_no_sidecar_takes_all_places(lease: KillLease) -> None:
    """It could make up names for ever; another finds room, and gives it back."""
    relay = Relay(lease, max_holders=4)
    grant(relay, asked("one/a"), asked("one/b"))
    assert relay.grant((("one/c", asked("one/c")),)) == (0.0, [])
    grant(relay, asked("two/a"))
    relay.left("one/a")
    grant(relay, asked("one/c"))
    assert relay.holding() == ("one/b", "two/a", "one/c")


def test_who_has_a_lease_keeps_it_when_there_is_no_room_for_more(lease: KillLease) -> None:
    """Renewed together, those that are new are left out."""
    relay = Relay(lease, max_holders=1)
    grant(relay, asked("one"))
    both = (("one", asked("one")), ("two", Renewal("two", "other", 0, 0)))
    assert relay.grant(both) == (0.0, ["nonce"])
    assert list(relay.standing(0)) == ["one", PREDECESSORS]


def test_renewed_together_each_speaks_for_itself(relay: Relay) -> None:
    """One that lags is waited for, whoever carries its renewal."""
    grant(relay, asked("one", acked=5), asked("two", acked=4))
    assert relay.obeyed(5) == 4
    grant(relay, asked("one", acked=5), asked("two", acked=5))
    assert relay.obeyed(5) == 5


def test_a_relay_knows_who_holds_a_lease_now(relay: Relay, clock: Clock) -> None:
    """Not who did."""
    grant(relay, asked("one"))
    clock.now += 2.0
    assert relay.holding() == ("one",)
    clock.now += 0.1
    assert relay.holding() == ()
