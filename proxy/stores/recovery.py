"""The part of the store port for steps whose outcome nobody knows. See base.py."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from proxy.model.ledger import IntentState, ReserveStatus, StepRow
from proxy.model.recovery import Covered, OpenStep, Resolution, Resumption, Take


class Recoveries(Protocol):
    """Steps that were left open. One that is taken is its taker's alone until the time it named."""

    async def note_sidecars(self, holders: Sequence[str]) -> None:
        """Note that these sidecars live now: they hold a kill lease of this process."""
        ...

    async def abandoned_to_unknown(self, at: datetime, gone_after_s: float) -> tuple[StepRow, ...]:
        """Mark open intents unknown whose owner is gone, and return them, oldest first.

        Never those of this process, nor of a replica or sidecar that lives: one counts as gone when
        nothing was heard of its kill lease for `gone_after_s`. May be asked at any time.
        """
        ...

    async def take_unsettled(self, take: Take) -> tuple[OpenStep, ...]:
        """Take unknown steps that are due and that nobody has taken, oldest first.

        Not those an owner left open who was gone and is back, and none whose points are spent: its
        agent ran it, and no outcome changes anything.
        """
        ...

    async def postpone(self, step_id: str, by: str, until: datetime, *, tried: bool) -> None:
        """Give a taken step back, to be due again at that time; `tried` counts a try."""
        ...

    async def resume(self, resumption: Resumption) -> ReserveStatus:
        """Let a taken step be sent again, in one transaction with the checks of a reservation.

        RUNNING when it is not the taker's (any more). Its credential row is replaced, so that an
        orphan of this attempt is found as well. Points are not held again.
        """
        ...

    async def end_credential(self, step_id: str) -> None:
        """Note that the credential of a step is dead."""
        ...

    async def resolve(self, resolution: Resolution) -> bool:
        """Say what an unknown step is; False when it was not the resolver's to settle.

        Done uses its points, aborted and failed give them back, stuck keeps them held. Raises
        ValueError for another state.
        """
        ...

    async def take_covered(self, covered: Covered) -> tuple[OpenStep, ...]:
        """Record the verdict unknown for open steps under a kill that were begun before it.

        Only where there is no verdict yet. Take and return those of them whose credential lives,
        oldest first, at most the limit.
        """
        ...

    async def has_covered(self, covered: Covered) -> bool:
        """Whether the credential of such a step lives, taken by somebody or not."""
        ...

    async def step(self, step_id: str) -> StepRow | None:
        """Return a step."""
        ...

    async def unsettled(self) -> Mapping[IntentState, int]:
        """Return how many steps are in each state that is not final."""
        ...
