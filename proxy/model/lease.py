"""The kill lease: how long a process may start calls without hearing from the kill log.

All durations are seconds of CLOCK_BOOTTIME, which neither steps nor stops in a suspend.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from proxy.model.kill import KillEntry


@dataclass(frozen=True, slots=True)
class LeaseTerms:
    """What holders and authority agree on.

    `duration_s`: L; `clock_drift`: rho, by how much two clocks may run apart; `pause_s`: D, between
    the last look at the lease and the write.
    """

    duration_s: float = 2.0
    clock_drift: float = 0.01
    pause_s: float = 0.05

    @property
    def renew_every_s(self) -> float:
        """How often a holder asks."""
        return self.duration_s / 5

    @property
    def bound_s(self) -> float:
        """How long after its commit a kill can be unknown to a holder, by the authority's clock."""
        return (self.duration_s + self.pause_s) * (1 + self.clock_drift)


@dataclass(frozen=True, slots=True)
class Renewal:
    """What a holder asks: the answer counts only with the same nonce.

    `known` is the epoch up to which it has the log; `acked` the one that it, and everybody who
    holds a lease of it, obeys.
    """

    holder: str
    nonce: str
    known: int
    acked: int


@dataclass(frozen=True, slots=True)
class Renewals:
    """What many holders ask, in one request that somebody carries for them."""

    holders: Sequence[Renewal]


@dataclass(frozen=True, slots=True)
class Grant:
    """The answer: the lease lasts `remaining_s` from when the renewal was sent.

    `entries` are those of the log after the epoch that the renewal knows. `authority_at` is the
    authority's clock, in seconds from any start.
    """

    nonce: str
    remaining_s: float
    entries: Sequence[KillEntry]
    authority_at: float


@dataclass(frozen=True, slots=True)
class Grants:
    """The answer to renewals of many: one grant for each renewal whose nonce is in `nonces`.

    Each lease lasts `remaining_s` from when that holder's own renewal was sent. `entries` are those
    after the lowest epoch that was known: all of them may be told to each.
    """

    nonces: Sequence[str]
    remaining_s: float
    entries: Sequence[KillEntry]
    authority_at: float


class HolderState(StrEnum):
    """How a holder stands to one kill."""

    ACKED = "acked"
    EXPIRED = "expired"
    OUTSTANDING = "outstanding"


@dataclass(frozen=True, slots=True)
class Effectiveness:
    """How far a kill has come: it is effective when nobody is outstanding.

    `deadline`: when it will be at the latest, whatever is cut off or frozen.
    """

    holders: dict[str, HolderState]
    deadline: datetime

    @property
    def effective(self) -> bool:
        """Whether nothing that the kill covers can start any more, anywhere."""
        return HolderState.OUTSTANDING not in self.holders.values()

    def count(self, state: HolderState) -> int:
        """Return how many holders stand so."""
        return sum(each is state for each in self.holders.values())
