"""What a sidecar leaves open is recovered by its gateway, never by the sidecar."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from proxy.errors import StoreUnavailable
from proxy.model.ledger import IntentState, ReserveStatus, StepRow
from proxy.model.recovery import Covered, OpenStep, Resolution, Resumption, Take


class NoRecoveries:
    """The port's Recoveries where nothing is ever found, and nothing settled."""

    async def note_sidecars(self, holders: Sequence[str]) -> None:
        """Nobody holds a lease of a sidecar."""

    async def abandoned_to_unknown(self, at: datetime, gone_after_s: float) -> tuple[StepRow, ...]:
        """Leave it to the gateway, which does so when our lease has run out."""
        del at, gone_after_s
        return ()

    async def take_unsettled(self, take: Take) -> tuple[OpenStep, ...]:
        """Take none."""
        del take
        return ()

    async def postpone(self, step_id: str, by: str, until: datetime, *, tried: bool) -> None:
        """Refuse: nothing is taken."""
        raise _elsewhere(step_id, by, until, tried)

    async def resume(self, resumption: Resumption) -> ReserveStatus:
        """Refuse: nothing is taken."""
        raise _elsewhere(resumption)

    async def end_credential(self, step_id: str) -> None:
        """Refuse: nothing is taken."""
        raise _elsewhere(step_id)

    async def resolve(self, resolution: Resolution) -> bool:
        """Refuse: it is an operator's, or the gateway's."""
        raise _elsewhere(resolution)

    async def take_covered(self, covered: Covered) -> tuple[OpenStep, ...]:
        """Take none."""
        del covered
        return ()

    async def has_covered(self, covered: Covered) -> bool:
        """Leave all to the gateway."""
        del covered
        return False

    async def step(self, step_id: str) -> StepRow | None:
        """Refuse: steps are told at the gateway."""
        raise _elsewhere(step_id)

    async def unsettled(self) -> Mapping[IntentState, int]:
        """Count none: they are the gateway's."""
        return {}


def _elsewhere(*_asked: object) -> StoreUnavailable:
    return StoreUnavailable("Ask the gateway this sidecar is attached to.")
