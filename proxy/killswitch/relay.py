"""Leases that this process grants to others: sidecars that are attached to it.

A relay grants the remainder of its own lease, so the bound does not grow with the depth, and
obeys an epoch towards its own authority only when everybody it granted a lease has. It remembers
its holders in memory: one that has just started speaks for nobody it does not know, and so waits
for the leases its predecessor may have granted.
"""

import threading
from dataclasses import dataclass

from proxy.killswitch.lease import KillLease
from proxy.model.lease import HolderState, LeaseTerms, Renewal

FORGET_AFTER = 5  # leases
MAX_HOLDERS = 5_000
PREDECESSORS = "before-restart"


@dataclass(slots=True)
class _Holder:
    acked: int
    until: float


class Relay:
    """Who holds a lease of this process, until when, and which epoch it obeys.

    A holder's lease counts from its sending, which is earlier than our receipt: ours is the later
    end, and stretched by the drift of the clocks. Holders ask on one thread, and the keeper of our
    own lease looks from another.
    """

    def __init__(self, lease: KillLease, max_holders: int = MAX_HOLDERS) -> None:
        self._lease = lease
        self._max_holders = max_holders
        self._holders: dict[str, _Holder] = {}
        self._started = lease.now()
        self._lock = threading.Lock()

    @property
    def terms(self) -> LeaseTerms:
        """What was agreed on."""
        return self._lease.terms

    def now(self) -> float:
        """Return the time by the clock of leases."""
        return self._lease.now()

    def grant(self, renewal: Renewal) -> float:
        """Return how many seconds the holder may start calls, 0 when we may not ourselves.

        Raises LookupError when there are too many holders.
        """
        with self._lock:
            now = self._lease.now()
            known = self._holders.get(renewal.holder)
            if known is None:
                self._forget(now)
                if len(self._holders) >= self._max_holders:
                    raise LookupError("too many holders of a kill lease")
            remaining_s = min(self._lease.remaining_s, self.terms.duration_s)
            until = now + (remaining_s + self.terms.pause_s) * (1 + self.terms.clock_drift)
            if known is None:
                self._holders[renewal.holder] = _Holder(renewal.acked, until)
            else:
                known.acked = max(known.acked, renewal.acked)
                known.until = max(known.until, until)
            return remaining_s

    def acknowledged(self, holder: str, epoch: int) -> None:
        """Note that a holder obeys every kill up to this epoch."""
        with self._lock:
            if (known := self._holders.get(holder)) is not None:
                known.acked = max(known.acked, epoch)

    def left(self, holder: str) -> None:
        """Forget a holder that has stopped starting calls."""
        with self._lock:
            self._holders.pop(holder, None)

    def holding(self) -> tuple[str, ...]:
        """Return the holders whose lease has not run out."""
        now = self._lease.now()
        with self._lock:
            return tuple(name for name, one in self._holders.items() if one.until > now)

    def obeyed(self, epoch: int) -> int:
        """Return the epoch that this process and all its holders obey; `epoch` is its own."""
        now = self._lease.now()
        with self._lock:
            behind = [one.acked for one in self._holders.values() if one.until > now]
        if now < self._started + self.terms.bound_s:
            behind.append(0)
        return min([epoch, *behind])

    def standing(self, epoch: int) -> dict[str, HolderState]:
        """Return how each holder stands to the kill of this epoch."""
        now = self._lease.now()
        with self._lock:
            self._forget(now)
            standing = {name: _state(one, epoch, now) for name, one in self._holders.items()}
        if now < self._started + self.terms.bound_s:
            standing[PREDECESSORS] = HolderState.OUTSTANDING
        return standing

    def _forget(self, now: float) -> None:
        """Forget who has been gone for long: not at every renewal, of which there are thousands."""
        oldest = now - FORGET_AFTER * self.terms.duration_s
        self._holders = {name: one for name, one in self._holders.items() if one.until > oldest}


def _state(holder: _Holder, epoch: int, now: float) -> HolderState:
    if holder.acked >= epoch:
        return HolderState.ACKED
    return HolderState.EXPIRED if holder.until <= now else HolderState.OUTSTANDING
