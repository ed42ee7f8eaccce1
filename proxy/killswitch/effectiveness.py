"""When a kill is effective: everybody who may start calls obeys it, or may not any more.

Leases that were granted before the commit end, by our clock, at the latest a lease, the drift of
the clocks and a pause after it; those granted later know the kill. So nobody's clock but ours
counts, and a holder that is cut off or frozen delays the answer by no more than that.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from proxy.errors import StoreError
from proxy.killswitch.lease import boottime_s
from proxy.killswitch.relay import Relay
from proxy.model.lease import Effectiveness, HolderState, LeaseTerms

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

    def __init__(
        self,
        terms: LeaseTerms,
        holders: Holders,
        relay: Relay | None = None,
        clock: Callable[[], float] = boottime_s,
    ) -> None:
        self._terms = terms
        self._holders = holders
        self._relay = relay
        self._clock = clock
        self._heard: dict[int, _Heard] = {}

    def heard(self, epoch: int) -> None:
        """Note that a kill is committed: the later this is called, the later the deadline."""
        self._heard.setdefault(epoch, _Heard(self._clock(), datetime.now(UTC)))

    async def of(self, epoch: int, own: str) -> Effectiveness:
        """Return how far a kill has come; `own` is the holder that asks, and obeys."""
        self.heard(epoch)
        heard = self._heard[epoch]
        standing = {own: HolderState.ACKED} | await self._standing(epoch, own)
        if self._clock() >= heard.at_s + self._terms.bound_s:
            standing = {name: _settled(state) for name, state in standing.items()}
        return Effectiveness(standing, heard.at + timedelta(seconds=self._terms.bound_s))

    async def _standing(self, epoch: int, own: str) -> dict[str, HolderState]:
        below = self._relay.standing(epoch) if self._relay else {}
        try:
            beside = await self._holders.holders()
        except StoreError:
            return below | {UNREADABLE: HolderState.OUTSTANDING}
        return below | {
            name: HolderState.ACKED if acked >= epoch else HolderState.OUTSTANDING
            for name, acked in beside.items()
            if name != own
        }


def _settled(state: HolderState) -> HolderState:
    return HolderState.EXPIRED if state is HolderState.OUTSTANDING else state
