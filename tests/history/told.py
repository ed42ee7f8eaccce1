"""A whole history, and what is found wrong with one."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from proxy.model.lease import LeaseTerms
from tests.history.records import (
    REFERENCE,
    Account,
    Arrival,
    Call,
    Change,
    Entry,
    Extension,
    Flag,
    Kill,
    Outage,
    Relayed,
    Renewal,
    Residual,
    Seen,
    Start,
    Step,
    Stream,
    Verdict,
    View,
)


@dataclass(frozen=True, slots=True)
class History:
    """Everything that is known of a run.

    `recovery_s`: R, None where nothing recovers open intents. `transit_s`: how long a request may
    be under way to a tool, and wait there until it is written down. `authorities`: holders that
    write the kill log alone, and so need no lease of anybody. `unrecorded`: tools that do not write
    down what they get.
    """

    ended_at: float
    calls: tuple[Call, ...] = ()
    starts: tuple[Start, ...] = ()
    arrivals: tuple[Arrival, ...] = ()
    kills: tuple[Kill, ...] = ()
    log: tuple[Entry, ...] = ()
    steps: tuple[Step, ...] = ()
    changes: tuple[Change, ...] = ()
    accounts: tuple[Account, ...] = ()
    renewals: tuple[Renewal, ...] = ()
    extensions: tuple[Extension, ...] = ()
    relayed: tuple[Relayed, ...] = ()
    seen: tuple[Seen, ...] = ()
    views: tuple[View, ...] = ()
    streams: tuple[Stream, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    flags: tuple[Flag, ...] = ()
    outages: tuple[Outage, ...] = ()
    residuals: tuple[Residual, ...] = ()
    minted: tuple[str, ...] = ()
    authorities: frozenset[str] = frozenset()
    unrecorded: frozenset[str] = frozenset()
    terms: LeaseTerms = field(default_factory=LeaseTerms)
    recovery_s: float | None = 30.0
    transit_s: float = 0.25
    clocks: Mapping[str, float] = field(default_factory=lambda: {REFERENCE: 0.0})

    def off_s(self, *clocks: str) -> float:
        """Return how far times of these clocks may be apart from each other."""
        return sum(self.clocks[name] for name in set(clocks)) if len(set(clocks)) > 1 else 0.0


@dataclass(frozen=True, slots=True)
class Violation:
    """An invariant that does not hold: which, how, and the records that show it."""

    invariant: str
    told: str
    shown: tuple[object, ...]

    def __str__(self) -> str:
        return "\n    ".join([f"{self.invariant}: {self.told}", *map(str, self.shown)])
