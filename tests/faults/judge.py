"""What a trial has seen, and what of it breaks the promise.

Times are CLOCK_MONOTONIC in seconds, starts those the tool has seen. I1, I5 and so on are the
invariants: the kill bound, streams closed, effective never early, late starts flagged.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from tests.harness.arrivals import FENCED, Arrival
from tests.matrix.kept import Figures
from tests.matrix.trials import Found

BOUND_S = 3.0  # T
HEALTHY_S = 0.1
STREAMS_S = BOUND_S + 1
PAUSE_S = 0.05  # D: from the last look at the lease to the tool
HEARD_S = 0.25  # for `effective` to be asked about and answered
FROZEN = "freeze "


@dataclass(frozen=True, slots=True)
class Seen:
    """One kill. `effective_at`: when that was answered; `deadline_at`: when it was to be.

    `streams` are when clients' streams were closed, by member; `flagged` late starts are those the
    gateways told, `must_flag` those the trial made.
    """

    committed_at: float
    deadline_at: float
    effective_at: float | None
    arrivals: tuple[Arrival, ...]
    streams: Mapping[str, float | None]
    must_flag: int = 0
    flagged: int = 0
    is_in_model: bool = True

    @property
    def starts(self) -> tuple[Arrival, ...]:
        """The calls the tool took after the commit; what it refused had no effect."""
        return tuple(one for one in self.arrivals if one.at > self.committed_at and not one.refused)

    @property
    def last_start_s(self) -> float:
        """How long after the commit the last call started; 0 when none did."""
        return max((one.at - self.committed_at for one in self.starts), default=0.0)

    @property
    def fenced(self) -> tuple[Arrival, ...]:
        """The calls that came late to a tool that verifies tokens."""
        return tuple(one for one in self.arrivals if one.path == FENCED)


def judge(seen: Seen, bar_s: float = BOUND_S) -> Found:
    """Return what is wrong with a trial, and its figures in milliseconds."""
    checks = (_bound(seen, bar_s), _effective(seen), _sure(seen), _streams(seen), _late(seen))
    return Found(tuple(problem for found in checks for problem in found), _figures(seen))


def _bound(seen: Seen, bar_s: float) -> list[str]:
    late = [one for one in seen.starts if one.at - seen.committed_at > bar_s]
    worst = max(late, key=lambda one: one.at, default=None)
    if worst is None:
        return []
    after_s = worst.at - seen.committed_at
    return [f"I1: {len(late)} starts after {bar_s:g} s, the last {after_s:.3f} s ({worst.maker})"]


def _effective(seen: Seen) -> list[str]:
    if seen.effective_at is None:
        return ["the kill did not become effective"]
    over_s = seen.effective_at - seen.deadline_at
    return [f"effective {over_s:.3f} s after its deadline"] if over_s > HEARD_S else []


def _sure(seen: Seen) -> list[str]:
    """Nothing starts once the kill is effective, as long as clocks run as agreed."""
    early = _early(seen) if seen.is_in_model else 0
    return [f"I17: {early} starts after the kill was called effective"] if early else []


def _early(seen: Seen) -> int:
    """Count what started after the kill was effective; a frozen process may, and says so."""
    if seen.effective_at is None:
        return 0
    end = seen.effective_at + PAUSE_S
    return sum(one.at > end and not one.maker.startswith(FROZEN) for one in seen.starts)


def _streams(seen: Seen) -> list[str]:
    end = seen.committed_at + STREAMS_S
    left = [name for name, at in seen.streams.items() if at is None or at > end]
    return [f"I5: streams left open at {', '.join(sorted(left))}"] if left else []


def _late(seen: Seen) -> list[str]:
    problems = []
    if seen.flagged < seen.must_flag:
        problems.append(f"I18: {seen.flagged} of {seen.must_flag} late starts flagged")
    if taken := [one for one in seen.fenced if not one.refused]:
        problems.append(f"tier A: {len(taken)} late calls taken by the tool")
    frozen = [one for one in seen.arrivals if one.maker.startswith(FROZEN)]
    if len(frozen) < seen.must_flag:
        problems.append("void: no call came late")
    return problems


def _figures(seen: Seen) -> Figures:
    effective_at = seen.effective_at
    closed = [at for at in seen.streams.values() if at is not None]
    figures = {
        "start_ms": 1_000 * seen.last_start_s,
        "starts": float(len(seen.starts)),
        "early": float(_early(seen)),
        "open": float(len(seen.streams) - len(closed)),
        "late": float(seen.must_flag),
        "flagged": float(seen.flagged),
        "fenced": float(len(seen.fenced)),
        "refused": float(sum(1 for one in seen.fenced if one.refused)),
        "calls": float(len(seen.arrivals)),
    }
    if closed:
        figures["streams_ms"] = 1_000 * max(0.0, max(closed) - seen.committed_at)
    if effective_at is not None:
        figures["effective_ms"] = 1_000 * (effective_at - seen.committed_at)
    return {name: round(value, 2) for name, value in figures.items()}
