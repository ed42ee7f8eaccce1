"""Leases that this process grants to others: sidecars that are attached to it.

A relay grants the remainder of its own lease, so the bound does not grow with the depth, and
obeys an epoch towards its own authority only when everybody it granted a lease has. It remembers
its holders in memory: one that has just started speaks for nobody it does not know, and so waits
for the leases its predecessor may have granted.
"""

import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from proxy.killswitch.lease import KillLease
from proxy.model.lease import HolderState, LeaseTerms, Renewal

FORGET_AFTER = 5  # leases
MAX_HOLDERS = 20_000
PREDECESSORS = "before-restart"


@dataclass(slots=True)
class _Holder:
    acked: int
    until: float


class Relay:
    """Who holds a lease of this process, until when, and which epoch it obeys.

    A holder's lease counts from its sending, which is earlier than our receipt: ours is the later
    end, and stretched by the drift of the clocks. Holders ask on one thread, and the keeper of our
    own lease looks from another. A sidecar (what stands before the `/` of a name) may have half of
    all places.
    """

    def __init__(self, lease: KillLease, max_holders: int = MAX_HOLDERS) -> None:
        self._lease = lease
        self._max_holders = max_holders
        self._holders: dict[str, _Holder] = {}
        self._places: Counter[str] = Counter()
        self._looked = lease.now()
        self._started = lease.now()
        self._lock = threading.Lock()

    @property
    def terms(self) -> LeaseTerms:
        """What was agreed on."""
        return self._lease.terms

    def now(self) -> float:
        """Return the time by the clock of leases."""
        return self._lease.now()

    def grant(self, asked: Sequence[tuple[str, Renewal]]) -> tuple[float, list[str]]:
        """Return how many seconds these holders may start calls, and the nonces of those.

        Each comes with the name that it has here. 0 s when we may not ourselves. Left out is a new
        holder that there is no room for.
        """
        with self._lock:
            now = self._lease.now()
            remaining_s = min(self._lease.remaining_s, self.terms.duration_s)
            until = now + (remaining_s + self.terms.pause_s) * (1 + self.terms.clock_drift)
            granted = [one.nonce for name, one in asked if self._holds(name, one.acked, now, until)]
            return remaining_s, granted

    def _holds(self, name: str, acked: int, now: float, until: float) -> bool:
        """Note until when a holder has a lease; False when it gets none."""
        known = self._holders.get(name)
        if known is not None:
            known.acked = max(known.acked, acked)
            known.until = max(known.until, until)
            return True
        if not self._has_room(name):
            if now < self._looked + self.terms.duration_s:
                return False
            self._forget(now)
            if not self._has_room(name):
                return False
        self._holders[name] = _Holder(acked, until)
        self._places[_sidecar(name)] += 1
        return True

    def _has_room(self, name: str) -> bool:
        share = max(1, self._max_holders // 2)
        is_free = len(self._holders) < self._max_holders
        return is_free and self._places[_sidecar(name)] < share

    def acknowledged(self, holder: str, epoch: int) -> None:
        """Note that a holder obeys every kill up to this epoch."""
        with self._lock:
            if (known := self._holders.get(holder)) is not None:
                known.acked = max(known.acked, epoch)

    def left(self, holder: str) -> None:
        """Forget a holder that has stopped starting calls."""
        with self._lock:
            if self._holders.pop(holder, None) is not None:
                self._places[_sidecar(holder)] -= 1

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
            gone = HolderState.OUTSTANDING, HolderState.EXPIRED
            standing = {
                name: HolderState.ACKED if one.acked >= epoch else gone[one.until <= now]
                for name, one in self._holders.items()
            }
        if now < self._started + self.terms.bound_s:
            standing[PREDECESSORS] = HolderState.OUTSTANDING
        return standing

    def _forget(self, now: float) -> None:
        """Forget who has been gone for long: not at every renewal, of which there are thousands."""
        oldest = now - FORGET_AFTER * self.terms.duration_s
        self._holders = {name: one for name, one in self._holders.items() if one.until > oldest}
        self._places = Counter(map(_sidecar, self._holders))
        self._looked = now


def _sidecar(name: str) -> str:
    return name.partition("/")[0]
