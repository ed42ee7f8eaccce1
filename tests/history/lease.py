"""I2, I3, I4, I18: what a kill lease promises."""

import math
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from operator import attrgetter

from proxy.model.kill import KillAction
from tests.history.lookups import Outages, Steps
from tests.history.records import Extension, Renewal
from tests.history.told import History, Violation

ROUNDING_S = 1e-6
FLAGGED_WITHIN_S = 1.0


@dataclass
class _Lease:
    """Until when a holder may start calls, by what it was granted: never less as time goes on."""

    heard: list[float] = field(default_factory=list)
    until: list[float] = field(default_factory=list)

    def extend(self, at: float, until: float) -> None:
        self.heard.append(at)
        self.until.append(max([until, *self.until[-1:]]))

    def at(self, when: float) -> float:
        found = bisect_right(self.heard, when)
        return self.until[found - 1] if found else -math.inf


def _granted_until(history: History, renewal: Renewal, extension: Extension) -> float:
    """Return the latest end that an answer can give: it counts from the sending."""
    terms = history.terms
    lasts_s = min(extension.remaining_s, terms.duration_s) * (1 - terms.clock_drift)
    return renewal.at + lasts_s


def _leases(history: History) -> dict[str, _Lease]:
    asked = {(one.holder, one.nonce): one for one in history.renewals}
    leases: dict[str, _Lease] = defaultdict(_Lease)
    for extension in sorted(history.extensions, key=attrgetter("at")):
        renewal = asked.get((extension.holder, extension.nonce))
        if renewal is not None:
            until = _granted_until(history, renewal, extension)
            leases[extension.holder].extend(extension.at, until)
    return leases


def i2_a_start_implies_a_fresh_lease(history: History) -> Iterator[Violation]:
    """The renewal behind a start was sent less than L(1-rho) earlier."""
    leases = _leases(history)
    for start in history.starts:
        if start.holder in history.authorities or start.is_undo:
            continue
        lease = leases.get(start.holder)
        until = lease.at(start.at) if lease else -math.inf
        if start.at >= until + ROUNDING_S:
            told = f"a call started {start.at - until:.3f} s after its lease by what was granted"
            yield Violation("I2", told, (start,))


def i2_every_arrival_was_let_start(history: History) -> Iterator[Violation]:
    """A tool gets nothing that no process looked at right before."""
    steps = Steps(history)
    for step_id, arrivals in steps.arrivals.items():
        starts = steps.starts[step_id]
        for arrival in arrivals:
            if not any(start.at <= arrival.at for start in starts):
                yield Violation("I2", "a tool got a call that no process let start", (arrival,))


def i3_only_a_matching_answer_extends(history: History) -> Iterator[Violation]:
    """A lease is longer only by the answer to a renewal of its holder, used once."""
    asked = {(one.holder, one.nonce): one for one in history.renewals}
    used: set[tuple[str, str]] = set()
    for extension in sorted(history.extensions, key=attrgetter("at")):
        if extension.until <= extension.before:
            continue
        pair = (extension.holder, extension.nonce)
        renewal = asked.get(pair)
        if renewal is None or renewal.at > extension.at:
            yield Violation("I3", "a lease was extended without a renewal", (extension,))
        elif pair in used:
            yield Violation("I3", "one answer extended a lease twice", (extension, renewal))
        elif extension.until > _granted_until(history, renewal, extension) + ROUNDING_S:
            told = "a lease lasts longer than what was granted, counted from the sending"
            yield Violation("I3", told, (extension, renewal))
        used.add(pair)


def i3_a_relay_grants_its_remainder(history: History) -> Iterator[Violation]:
    """Nobody grants more than it has itself."""
    for one in history.relayed:
        if one.remaining_s > max(0.0, one.own_until - one.at) + ROUNDING_S:
            yield Violation("I3", "a relay granted more than its own remainder", (one,))


def i4_epochs_only_grow(history: History) -> Iterator[Violation]:
    """What a replica obeys never becomes older, also over its restarts."""
    newest: dict[str, int] = {}
    for seen in sorted(history.seen, key=attrgetter("at")):
        if seen.epoch < newest.get(seen.replica, 0):
            told = f"an epoch decreased from {newest[seen.replica]}"
            yield Violation("I4", told, (seen,))
        newest[seen.replica] = max(seen.epoch, newest.get(seen.replica, 0))


def i4_a_lift_is_higher_than_its_kill(history: History) -> Iterator[Violation]:
    """A lift takes the next epoch, as a kill does."""
    for entry in history.log:
        is_lift = entry.action is KillAction.LIFT and entry.lifts is not None
        if is_lift and entry.epoch <= (entry.lifts or 0):
            yield Violation("I4", "a lift is not higher than what it lifts", (entry,))


def i18_late_starts_are_flagged(history: History) -> Iterator[Violation]:
    """A write after the end of the lease is told of within a second, if its process still runs."""
    outages = Outages(history)
    flagged: dict[str, list[float]] = defaultdict(list)
    for flag in history.flags:
        flagged[flag.step_id].append(flag.at)
    for start in history.starts:
        if start.write_at is None or start.write_at <= start.until:
            continue
        by = start.write_at + FLAGGED_WITHIN_S
        told_in_time = any(start.write_at <= at <= by for at in flagged[start.step_id])
        if not told_in_time and not outages.during(start.replica, start.write_at, by):
            yield Violation("I18", "a late start was not flagged within 1 s", (start,))
