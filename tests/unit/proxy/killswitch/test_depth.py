"""Three levels of kill leases under an authority: the bound is that of one.

A gateway, a relay, a relay and a holder, each with a clock of its own, renew through messages that
take any time. Whatever is asked and answered when, nobody may start calls later than one bound
after a kill was committed, unless it was told.
"""

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.killswitch.lease import KillLease
from proxy.killswitch.relay import Relay
from proxy.model.lease import Grant, LeaseTerms, Renewal

TERMS = LeaseTerms(duration_s=2.0, clock_drift=0.01, pause_s=0.05)
DEPTH, KILLED_AT, ENDS_AT, STEP_S = 3, 4.0, 8.0, 0.02


@dataclass(frozen=True)
class Asked:
    """A renewal of the node at a level: when it is sent, and how long each way takes."""

    at: float
    level: int
    there_s: float
    back_s: float


class FullLease(Relay):
    """A relay with the guard taken out: it grants a whole lease whatever it has."""

    def grant(self, asked: Sequence[tuple[str, Renewal]]) -> tuple[float, list[str]]:
        remaining_s, granted = super().grant(asked)
        return (TERMS.duration_s if remaining_s else 0.0), granted


class Chain:
    """The levels; time passes as the test says, and each clock runs as fast as it does."""

    def __init__(self, rates: list[float], relay: type[Relay]) -> None:
        self.now = 0.0
        clocks = [self._clock(rate) for rate in rates]
        self.leases = [KillLease(TERMS, clock, lambda: "boot") for clock in clocks]
        self.relays = [relay(lease) for lease in self.leases]
        self.knows = [False] * len(rates)

    def _clock(self, rate: float) -> Callable[[], float]:
        return lambda: 100.0 + self.now * rate

    def renew(self, asked: Asked) -> Iterator[float]:
        """Send, be answered, hear: yields how long to wait before the next of these."""
        level, lease = asked.level, self.leases[asked.level]
        renewal = lease.ask(0, 0)
        yield asked.there_s
        if level == 0:
            grant, news = Grant(renewal.nonce, TERMS.duration_s, (), self.now), self.killed
        else:
            above = self.relays[level - 1]
            remaining_s, _ = above.grant(((renewal.holder, renewal),))
            grant = Grant(renewal.nonce, remaining_s, (), above.now())
            news = self.knows[level - 1]
        yield asked.back_s
        self.knows[level] |= news
        lease.granted(grant)

    @property
    def killed(self) -> bool:
        """Whether the authority has committed it."""
        return self.now >= KILLED_AT

    def may_start(self) -> list[int]:
        """Return the levels where a covered call could start now."""
        return [n for n, lease in enumerate(self.leases) if lease.fresh() and not self.knows[n]]


def latest_start(asked: list[Asked], rates: list[float], relay: type[Relay] = Relay) -> float:
    """Return the last time that any level could have started a covered call."""
    chain, numbers, latest = Chain(rates, relay), count(), 0.0
    queue = [(one.at, next(numbers), chain.renew(one)) for one in asked]
    heapq.heapify(queue)
    for tick in range(int(ENDS_AT / STEP_S)):
        while queue and queue[0][0] <= tick * STEP_S:
            chain.now, _, renewal = heapq.heappop(queue)
            wait_s = next(renewal, None)
            if wait_s is not None:
                heapq.heappush(queue, (chain.now + wait_s, next(numbers), renewal))
        chain.now = tick * STEP_S
        latest = chain.now if chain.may_start() else latest
    return latest


WAITS = st.sampled_from((0.0, 0.01, 0.4, 1.2, 1.9))
RENEWALS = st.builds(
    Asked, st.integers(0, 600).map(lambda n: n / 100), st.integers(0, DEPTH - 1), WAITS, WAITS
)
RATES = st.lists(st.sampled_from((0.995, 1.0, 1.005)), min_size=DEPTH, max_size=DEPTH)
HEALTHY = [Asked(0.1 + n * 0.4, level, 0.0, 0.0) for n in range(9) for level in range(DEPTH)]


@settings(deadline=None)  # the time it takes here is not what it is about
@given(st.lists(RENEWALS, min_size=5, max_size=60), RATES)
def test_the_bound_does_not_grow_with_the_depth(asked: list[Asked], rates: list[float]) -> None:
    """In the same order as they were, late, or lost on the way."""
    assert latest_start(HEALTHY + asked, rates) <= KILLED_AT + TERMS.bound_s


def test_a_holder_that_is_cut_off_starts_for_almost_a_lease() -> None:
    """The bound is not met by never granting anything."""
    assert KILLED_AT + 1 < latest_start(HEALTHY, [1.0] * DEPTH) <= KILLED_AT + TERMS.bound_s


def test_whole_leases_would_break_the_bound() -> None:
    """With the guard taken out, the last level starts calls much later."""
    slow = [Asked(3.9, 0, 0.0, 0.0), Asked(5.8, 1, 0.0, 0.0), Asked(7.7, 2, 0.0, 0.0)]
    assert latest_start(HEALTHY + slow, [1.0] * DEPTH, FullLease) > KILLED_AT + TERMS.bound_s


@pytest.mark.parametrize("level", range(DEPTH))
def test_whoever_is_told_starts_nothing_more(level: int) -> None:
    """A renewal after the commit, passed down level by level, ends it at once."""
    told = [Asked(4.1 + n * 0.01, n, 0.0, 0.0) for n in range(level + 1)]
    chain = Chain([1.0] * DEPTH, Relay)
    for asked in (*HEALTHY, *told):
        chain.now = asked.at
        list(chain.renew(asked))
    assert level not in chain.may_start()
