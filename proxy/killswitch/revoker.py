"""Finishes a kill where a holder cannot: its process is frozen, cut off or gone.

Such a holder starts nothing once its kill lease has run out. What it had begun before is still
open, with a credential that may live. When the kill's deadline has passed, any other process that
has the ledger takes these calls, revokes what they were lent, as far as the broker can, and writes
`unknown` into the kill's report. A late outcome of a holder that wakes stays the last word.

It cannot cancel the call at its tool: the connection is the holder's own.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol

from proxy.errors import StoreError
from proxy.killswitch.switch import KillSwitch
from proxy.model.kill import KillEntry
from proxy.model.lease import Effectiveness, HolderState
from proxy.model.recovery import Covered, OpenStep

log = logging.getLogger(__name__)

LOOK_S = 0.5
CLAIM_S = 10.0
MAX_TRIES = 20


class OpenSteps(Protocol):
    """The ledger's open steps. All methods raise StoreUnavailable."""

    async def take_covered(self, covered: Covered) -> tuple[OpenStep, ...]:
        """Record unknown for open steps under a kill; take those whose credential lives."""
        ...

    async def has_covered(self, covered: Covered) -> bool:
        """Whether such a credential lives, also of a step that somebody has taken."""
        ...

    async def end_credential(self, step_id: str) -> None:
        """Note that the credential of a step is dead."""
        ...


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Revoker:
    """Looks at every kill in force until it is finished; `run` it in one task.

    `by` names this process, `effects` tells how far the kill of an epoch has come, `revoke` takes
    back a lease at a broker and says whether that is confirmed.
    """

    def __init__(
        self,
        kill_switch: KillSwitch,
        effects: Callable[[int], Awaitable[Effectiveness]],
        ledger: OpenSteps,
        revoke: Callable[[str, str], Awaitable[bool]],
        by: str,
        clock: Callable[[], datetime] = _utc_now,
    ) -> None:
        self._kill_switch = kill_switch
        self._effects = effects
        self._ledger = ledger
        self._revoke = revoke
        self._by = by
        self._clock = clock
        self._tries: dict[int, int] = {}

    async def run(self) -> None:
        """Look until cancelled. What the ledger does not take now is looked at again."""
        while True:
            try:
                await self.look()
            except StoreError as error:
                log.warning("open calls under a kill cannot be revoked now: %s", error)
            await asyncio.sleep(LOOK_S)

    async def look(self) -> None:
        """Finish the kills whose deadline has passed. Raises StoreUnavailable."""
        active = self._kill_switch.state.active
        epochs = {entry.epoch for entry in active}
        self._tries = {epoch: tries for epoch, tries in self._tries.items() if epoch in epochs}
        for entry in active:
            if self._tries.get(entry.epoch, 0) < MAX_TRIES:
                await self._finish(entry)

    async def _finish(self, entry: KillEntry) -> None:
        effects = await self._effects(entry.epoch)
        now = self._clock()
        if now < effects.deadline:
            return
        obeying = (name for name, state in effects.holders.items() if state is HolderState.ACKED)
        until = now + timedelta(seconds=CLAIM_S)
        asked = (entry.epoch, entry.order.scopes, tuple(obeying), self._by, now, until)
        covered = Covered(*asked)
        taken = await self._ledger.take_covered(covered)
        revoked = [await self._ended(step) for step in taken]
        if not all(revoked):
            self._tries[entry.epoch] = self._tries.get(entry.epoch, 0) + 1
        elif not await self._ledger.has_covered(covered):
            self._tries[entry.epoch] = MAX_TRIES

    async def _ended(self, step: OpenStep) -> bool:
        """Revoke what a step was lent; say whether that is confirmed."""
        lent = step.lent
        if lent is None:
            return True
        is_revoked = await self._revoke(lent.broker, lent.lease_id)
        extra = {"step_id": step.id, "broker": lent.broker, "confirmed": is_revoked}
        log.warning("a killed call is left by its holder; its credential is revoked", extra=extra)
        if is_revoked:
            await self._ledger.end_credential(step.id)
        return is_revoked
