import math
import time

import pytest

from proxy.killswitch import lease as lease_module
from proxy.killswitch.lease import ClockRate, KillLease, boot_id, boottime_s
from proxy.model.lease import Grant, LeaseTerms
from tests.harness.clock import Clock

TERMS = LeaseTerms(duration_s=2.0, clock_drift=0.01, pause_s=0.05)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def lease(clock: Clock) -> KillLease:
    return KillLease(TERMS, clock, lambda: "one boot")


def renewed(lease: KillLease, clock: Clock, after_s: float = 0.0, remaining_s: float = 2.0) -> bool:
    """Ask, let time pass, answer."""
    renewal = lease.ask(0, 0)
    clock.now += after_s
    return lease.granted(Grant(renewal.nonce, remaining_s, (), clock.now))


def test_there_is_no_lease_before_the_first_answer(lease: KillLease) -> None:
    """Whoever has heard nothing starts nothing."""
    assert not lease.fresh()
    assert lease.remaining_s == 0.0


def test_a_lease_counts_from_the_sending(lease: KillLease, clock: Clock) -> None:
    """An answer that took 1.5 s leaves what is left of the two, less the drift."""
    assert renewed(lease, clock, after_s=1.5)
    assert lease.remaining_s == pytest.approx(0.48)
    clock.now += 0.49
    assert not lease.fresh()


def test_the_answer_to_an_older_renewal_never_shortens(lease: KillLease, clock: Clock) -> None:
    """Answers may overtake each other."""
    first = lease.ask(0, 0)
    clock.now += 0.4
    renewed(lease, clock)
    until = lease.until
    assert lease.granted(Grant(first.nonce, 2.0, (), clock.now))
    assert lease.until == until


@pytest.mark.parametrize("nonce", ["", "non_of_somebody_else"])
def test_an_answer_nobody_asked_for_changes_nothing(lease: KillLease, nonce: str) -> None:
    """Only a matching nonce extends."""
    lease.ask(0, 0)
    assert not lease.granted(Grant(nonce, 2.0, (), 0.0))
    assert not lease.fresh()


def test_an_answer_counts_once(lease: KillLease, clock: Clock) -> None:
    """A copy that comes later is nobody's answer."""
    grant = Grant(lease.ask(0, 0).nonce, 2.0, (), clock.now)
    assert lease.granted(grant)
    assert not lease.granted(grant)


def test_an_answer_after_a_whole_lease_is_too_late(lease: KillLease, clock: Clock) -> None:
    """It is not even remembered once another renewal was asked."""
    late = lease.ask(0, 0)
    clock.now += 2.5
    lease.ask(0, 0)
    assert not lease.granted(Grant(late.nonce, 2.0, (), clock.now))


def test_nobody_grants_more_than_the_terms(lease: KillLease, clock: Clock) -> None:
    """An authority with other settings cannot stretch the bound."""
    renewed(lease, clock, remaining_s=3_600.0)
    assert lease.remaining_s == pytest.approx(1.98)


def test_a_remainder_is_all_a_relay_can_give(lease: KillLease, clock: Clock) -> None:
    """A tenth of a second stays one."""
    renewed(lease, clock, remaining_s=0.1)
    assert lease.remaining_s == pytest.approx(0.099)


def test_another_boot_ends_the_lease(clock: Clock) -> None:
    """A process that was frozen to disk and woken elsewhere has another machine's clock."""
    boots = iter(["one boot", "one boot", "another"])
    lease = KillLease(TERMS, clock, lambda: next(boots))
    assert renewed(lease, clock)
    assert not renewed(lease, clock)
    assert not lease.fresh()
    assert lease.remaining_s == 0.0
    assert "another boot" in lease.refused


def test_a_slow_clock_ends_the_lease(lease: KillLease, clock: Clock) -> None:
    """At 0.8x, two seconds here are two and a half there."""
    authority = 0.0
    for _ in range(10):
        renewal = lease.ask(0, 0)
        lease.granted(Grant(renewal.nonce, 2.0, (), authority))
        clock.now, authority = clock.now + 0.4, authority + 0.5
    assert "clock runs slower" in lease.refused
    assert not lease.fresh()


@pytest.mark.parametrize("rate", [1.0, 0.995, 1.5])
def test_a_right_or_fast_clock_keeps_the_lease(rate: float) -> None:
    """A fast one only shortens what it has."""
    rates = ClockRate(0.01)
    own = authority = 0.0
    for _ in range(200):
        assert rates.plausible(own, own + 0.01, authority)
        own, authority = own + 0.4 * rate, authority + 0.4


def test_a_slow_answer_is_no_slow_clock() -> None:
    """What was on its way for two seconds may have been answered at any time in between."""
    rates = ClockRate(0.01)
    assert rates.plausible(0.0, 0.01, 0.0)
    assert rates.plausible(0.4, 2.4, 2.3)


def test_the_clock_of_leases_goes_on_in_a_suspend() -> None:
    """CLOCK_BOOTTIME, not CLOCK_MONOTONIC."""
    before = time.clock_gettime(time.CLOCK_BOOTTIME)
    assert before <= boottime_s() <= time.clock_gettime(time.CLOCK_BOOTTIME)
    assert KillLease(TERMS).now() >= before


def test_the_boot_has_an_id_or_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """A system that has none is not refused."""
    assert len(boot_id()) == 36
    monkeypatch.setattr(lease_module, "BOOT_ID", lease_module.BOOT_ID / "nothing")
    assert boot_id() == ""


def test_who_alone_writes_the_log_needs_nobodys_word(clock: Clock) -> None:
    """However busy or frozen it was: no kill can have been committed without it."""
    lease = KillLease(TERMS, clock, lambda: "boot", is_authority=True)
    clock.now += 3_600
    assert lease.fresh()
    assert (lease.remaining_s, lease.until) == (2.0, math.inf)
