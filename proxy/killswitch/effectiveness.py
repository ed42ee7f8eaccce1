"""When a kill is effective: everybody who may start calls obeys it, or may not any more.

Leases that were granted before the commit end, by our clock, at the latest a lease, the drift of
the clocks and a pause after it; those granted later know the kill. So nobody's clock but ours
counts, and a holder that is cut off or frozen delays the answer by no more than that.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from proxy.errors import StoreError
from proxy.killswitch.lease import KillLease
from proxy.killswitch.relay import Relay
from proxy.model.lease import Effectiveness, HolderState

UNREADABLE = "holders-unreadable"


class Holders(Protocol):
    """Who has asked the kill log for a lease."""

    async def holders(self) -> dict[str, int]:
        """Return the epoch each holder obeys. Raises StoreUnavailable."""
        ...


@dataclass(frozen=True, slots=True)
class _Heard:
    at_s: float
    at: datetime


class EffectWatch:
    """Notes when each kill became known here, and tells how far it has come."""

    def __init__(self, lease: KillLease, holders: Holders, relay: Relay | None = None) -> None:
        self._lease = lease
        self._holders = holders
        self._relay = relay
        self._heard: dict[int, _Heard] = {}

    def heard(self, epoch: int) -> None:
        """Note that a kill is committed: the later this is called, the later the deadline."""
        self._heard.setdefault(epoch, _Heard(self._lease.now(), datetime.now(UTC)))

    async def of(self, epoch: int) -> Effectiveness:
        """Return how far a kill has come that this process obeys already."""
        self.heard(epoch)
        heard, bound_s = self._heard[epoch], self._lease.terms.bound_s
        standing = {self._lease.holder: HolderState.ACKED} | await self._others(epoch)
        if self._lease.now() >= heard.at_s + bound_s:
            standing = {name: _settled(state) for name, state in standing.items()}
        return Effectiveness(standing, heard.at + timedelta(seconds=bound_s))

    async def _others(self, epoch: int) -> dict[str, HolderState]:
        below = self._relay.standing(epoch) if self._relay else {}
        try:
            beside = await self._holders.holders()
        except StoreError:
            return below | {UNREADABLE: HolderState.OUTSTANDING}
        return below | {
            name: HolderState.ACKED if acked >= epoch else HolderState.OUTSTANDING
            for name, acked in beside.items()
            if name != self._lease.holder
        }


def _settled(state: HolderState) -> HolderState:
    return HolderState.EXPIRED if state is HolderState.OUTSTANDING else state
