"""What the invariants ask of a history again and again."""

import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from proxy.model.kill import KillAction, Scope
from tests.history.records import Arrival, Kill, Start, Step, Subject
from tests.history.told import History


@dataclass(frozen=True, slots=True)
class Window:
    """A kill, and when somebody first asked to lift it (infinite: nobody)."""

    kill: Kill
    lifted_at: float

    def holds(self, at: float, since: float, epoch: int) -> bool:
        """Whether, at a time after `since`, the kill was in force for what began at that epoch.

        What was decided before a kill is over, also after it was lifted.
        """
        return at > since and (at < self.lifted_at or epoch < (self.kill.epoch or 0))


class Kills:
    """The kills of a history by what they cover."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._windows: dict[Scope, list[Window]] = defaultdict(list)
        lifted: dict[int, float] = {}
        for one in history.kills:
            if one.action is KillAction.LIFT and one.lifts is not None:
                lifted[one.lifts] = min(one.asked_at, lifted.get(one.lifts, math.inf))
        for one in history.kills:
            if one.action is KillAction.KILL and one.committed_by is not None:
                window = Window(one, lifted.get(one.epoch or -1, math.inf))
                for scope in one.scopes:
                    self._windows[scope].append(window)

    def covering(self, subject: Subject) -> Iterator[Window]:
        """Return the kills that cover a subject, each once."""
        told: set[int] = set()
        for scope in subject.scopes:
            for window in self._windows.get(scope, ()):
                if id(window) not in told:
                    told.add(id(window))
                    yield window

    def against(self, one: Start | Step, after_s: float = 0.0) -> Iterator[Window]:
        """Return the kills committed more than `after_s` before it, and in force for it."""
        for window in self.covering(one.subject):
            kill = window.kill
            since = (kill.committed_by or 0.0) + self._history.off_s(one.clock, kill.clock)
            if window.holds(one.at, since + after_s, one.epoch):
                yield window


class Steps:
    """The ledger's rows by their ids and by the marks in their arguments."""

    def __init__(self, history: History) -> None:
        self.by_id: dict[str, Step] = {step.step_id: step for step in history.steps}
        self.by_marker: dict[str, list[Step]] = defaultdict(list)
        for step in history.steps:
            self.by_marker[step.marker].append(step)
        self.arrivals: dict[str, list[Arrival]] = defaultdict(list)
        for arrival in history.arrivals:
            if (found := self.of(arrival)) is not None:
                self.arrivals[found.step_id].append(arrival)
        self.starts: dict[str, list[Start]] = defaultdict(list)
        for start in history.starts:
            self.starts[start.step_id].append(start)

    def of(self, arrival: Arrival) -> Step | None:
        """Return the step a tool's request belongs to, None when there is none."""
        found = self.by_marker.get(arrival.marker, ())
        return next((step for step in found if step.subject.tool == arrival.tool), None)

    def epoch_of(self, step: Step, arrival: Arrival) -> int:
        """Return the epoch a request was let start under: a further attempt has its own."""
        begun = (one.epoch for one in self.starts[step.step_id] if one.at <= arrival.at)
        return max([step.epoch, *begun])


class Outages:
    """When processes did not run."""

    def __init__(self, history: History) -> None:
        self._of: dict[str, list[tuple[float, float, str]]] = defaultdict(list)
        self._transit_s = history.transit_s
        for one in history.outages:
            self._of[one.replica].append((one.begin, one.end, one.kind))

    def during(self, replica: str, begin: float, end: float, kind: str = "") -> float:
        """Return how long a process did not run in that time, in seconds."""
        return sum(
            max(0.0, min(end, over) - max(begin, from_))
            for from_, over, of_kind in self._of[replica]
            if not kind or of_kind == kind
        )

    def froze(self, starts: list[Start], arrival: Arrival, longest_s: float) -> bool:
        """Whether a process was paused for too long right before its write, and wrote then."""
        return any(self._froze(start, arrival, longest_s) for start in starts)

    def _froze(self, start: Start, arrival: Arrival, longest_s: float) -> bool:
        paused_s = self.during(start.replica, start.at, arrival.at, "paused")
        ran_s = arrival.at - start.at - paused_s
        return paused_s > longest_s and 0 <= ran_s <= self._transit_s + longest_s
