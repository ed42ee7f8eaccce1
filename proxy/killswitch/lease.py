"""The kill lease of this process: no fresh lease, no call.

A lease is extended only by the answer to a renewal, recognised by its nonce, and counts from when
that renewal was *sent*: whatever happened to the answer on its way, a kill that was committed
before the authority answered is in it. Pushes only bring kills; they never extend.

One thread keeps a lease (`ask`, `granted`, `give_up`); any may look at it.
"""

import logging
import math
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from proxy.model.lease import Grant, LeaseTerms, Renewal
from proxy.model.token import new_id

log = logging.getLogger(__name__)

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
RATE_WINDOW_S = 30.0
JITTER_S = 0.25


def boottime_s() -> float:
    """Return seconds since boot, suspends included: the clock of leases."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def boot_id() -> str:
    """Return which boot of the machine this is; empty where the system does not tell."""
    try:
        return BOOT_ID.read_text().strip()
    except OSError:
        return ""


class KillLease:
    """Holder's side. A process that was moved to another boot, or whose clock lags, has none.

    `is_authority`: nobody else can write the kill log, so every kill there is passed through this
    process, which then needs nobody's word: its lease never ends.
    """

    def __init__(
        self,
        terms: LeaseTerms,
        clock: Callable[[], float] = boottime_s,
        boot: Callable[[], str] = boot_id,
        *,
        is_authority: bool = False,
    ) -> None:
        self.terms = terms
        self._is_authority = is_authority
        self.holder = new_id("hld")
        self.refused = ""
        self._clock = clock
        self._boot = boot
        self._booted = boot()
        self._rate = ClockRate(terms.clock_drift)
        self._until = float("-inf")
        self._asked: dict[str, float] = {}

    @property
    def remaining_s(self) -> float:
        """How long calls may still start; 0 without a lease."""
        if self._is_authority:
            return self.terms.duration_s
        return 0.0 if self.refused else max(0.0, self._until - self._clock())

    @property
    def until(self) -> float:
        """When it ends, by `now`."""
        return math.inf if self._is_authority else self._until

    def fresh(self) -> bool:
        """Whether a call may start now."""
        return self.fresh_until() is not None

    def fresh_until(self) -> float | None:
        """Return until when a call may start that starts now, by `now`; None when it may not.

        Look here before the kill state: what was known when the lease was granted is seen then.
        """
        until = self.until
        return None if self.refused or until <= self._clock() else until

    def give_up(self) -> None:
        """Have no lease any more, whatever answers are on their way."""
        self._asked.clear()
        self._until = float("-inf")

    def ask(self, known: int, acked: int) -> Renewal:
        """Return a renewal to be sent now."""
        now = self._clock()
        oldest = now - self.terms.duration_s
        self._asked = {nonce: sent for nonce, sent in self._asked.items() if sent > oldest}
        renewal = Renewal(self.holder, new_id("non"), known, acked)
        self._asked[renewal.nonce] = now
        return renewal

    def granted(self, grant: Grant) -> bool:
        """Take the answer to one of our renewals; any other, or a second one, changes nothing."""
        sent = self._asked.pop(grant.nonce, None)
        if sent is None:
            return False
        self.refused = self._problem(sent, grant.authority_at)
        if self.refused:
            log.critical("the kill lease is refused: %s", self.refused)
            return False
        lasts_s = min(grant.remaining_s, self.terms.duration_s) * (1 - self.terms.clock_drift)
        self._until = max(self._until, sent + lasts_s)
        return True

    def now(self) -> float:
        """Return the time by the clock of leases."""
        return self._clock()

    def _problem(self, sent: float, authority_at: float) -> str:
        if self._boot() != self._booted:
            return "this process was moved to another boot of the machine; start it again"
        if not self._rate.plausible(sent, self._clock(), authority_at):
            return "this machine's clock runs slower than that of the kill log"
        return ""


class ClockRate:
    """Compares the rate of our clock with the authority's, over half a minute of renewals.

    An answer was given at some time between sending and hearing, so the authority's clock has
    moved, between two answers, by at most what ours has between the sending of the first and the
    hearing of the second; more than that, and drift, means that ours is slow.
    """

    def __init__(self, drift: float, window_s: float = RATE_WINDOW_S) -> None:
        self._drift = drift
        self._window_s = window_s
        self._seen: deque[tuple[float, float]] = deque()

    def plausible(self, sent: float, heard: float, authority_at: float) -> bool:
        """Whether no pair of answers says that our clock is slow; notes this one."""
        seen = self._seen
        while seen and sent - seen[0][0] > self._window_s:
            seen.popleft()
        slow = any(
            authority_at - then > (heard - asked) * (1 + self._drift) + JITTER_S
            for asked, then in seen
        )
        seen.append((sent, authority_at))
        return not slow
