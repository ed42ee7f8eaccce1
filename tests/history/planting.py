"""Tools for planting faults: pick a record, change it, add one, drop one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any, TypeVar

from proxy.model.kill import KillAction
from tests.history.lookups import Kills, Steps
from tests.history.records import Arrival, Kill, Start, Step
from tests.history.told import History

T = TypeVar("T")


@dataclass(frozen=True)
class Bed:
    """A clean history, and chance."""

    clean: History
    chance: Random

    def pick(self, kind: str, fits: Callable[[Any], bool] = lambda _: True) -> Any:
        """Return any record of a kind that fits."""
        return self.chance.choice([one for one in getattr(self.clean, kind) if fits(one)])

    def changed(self, kind: str, one: object, **to: Any) -> History:
        """Return the history with one record changed."""
        return self.with_(
            kind, [_changed(each, **to) if each is one else each for each in self.of(kind)]
        )

    def without(self, kind: str, *gone: object) -> History:
        """Return the history without some records."""
        return self.with_(kind, [each for each in self.of(kind) if each not in gone])

    def plus(self, kind: str, *more: object) -> History:
        """Return the history with more records."""
        return self.with_(kind, [*self.of(kind), *more])

    def with_(self, kind: str, records: Sequence[object]) -> History:
        """Return the history with other records of a kind."""
        return replace(self.clean, **{kind: tuple(records)})  # type: ignore[arg-type]  # by kind

    def of(self, kind: str) -> Sequence[Any]:
        """Return the records of a kind."""
        records: Sequence[Any] = getattr(self.clean, kind)
        return records

    def then(self, history: History) -> "Bed":
        """Go on planting in another history."""
        return Bed(history, self.chance)

    def kill(self) -> Kill:
        """Return a kill that is never lifted."""
        lifted = {one.lifts for one in self.clean.kills}
        is_kill = KillAction.KILL
        kill: Kill = self.pick(
            "kills", lambda one: one.action is is_kill and one.epoch not in lifted
        )
        return kill

    def covered(self) -> tuple[Step, Start, Kill, float]:
        """Return a step, its start, and a kill, moved into the scope of that step.

        The kill comes after everything else, is never lifted, and the step knew nothing of it; the
        last is when the kill was known to be committed.
        """
        step: Step = self.pick("steps", lambda one: one.state == "done")
        start = Steps(self.clean).starts[step.step_id][0]
        at = self.clean.ended_at - 40
        scope = self.chance.choice(step.subject.scopes)
        epoch = len(self.clean.log) + 1
        kill = Kill(at, KillAction.KILL, (scope,), epoch, at + 0.01, False)
        return step, start, kill, at + 0.01

    def of_step(self, step: Step) -> Arrival:
        """Return what the tool got of a step."""
        return Steps(self.clean).arrivals[step.step_id][0]

    def covers(self, kill: Kill, step: Step) -> bool:
        """Whether a kill of this history covers a step."""
        return any(window.kill is kill for window in Kills(self.clean).covering(step.subject))


def _changed(record: Any, **to: Any) -> Any:
    return replace(record, **to)
