"""An authority of kill leases in memory, that can be made to fail; asked from any thread."""

import asyncio
from datetime import UTC, datetime

from proxy.errors import StoreUnavailable
from proxy.model.kill import GLOBAL, KillAction, KillEntry, KillOrder
from proxy.model.lease import Grant, LeaseTerms, Renewal

LOOK_S = 0.002


class Log:
    """Grants whole leases. `broken`: away; `silent`: says nothing; `wrong`: raises what it is.

    `late_s`: how long it takes to answer.
    """

    def __init__(self, terms: LeaseTerms) -> None:
        self.terms = terms
        self.entries: list[KillEntry] = []
        self.acked: list[int] = []
        self.asked: list[Renewal] = []
        self.gone: list[str] = []
        self.broken = self.silent = False
        self.wrong: Exception | None = None
        self.late_s = 0.0
        self._pushed = 0

    def kill(self, *, push: bool = True) -> KillEntry:
        """Commit a kill of everything."""
        number = len(self.entries) + 1
        at = datetime.now(UTC)
        order = KillOrder(f"kil_{number}", KillAction.KILL, (GLOBAL,), "oncall", "", at)
        self.entries.append(KillEntry(number, order))
        if push:
            self._pushed = number
        return self.entries[-1]

    async def renew(self, renewal: Renewal) -> Grant:
        """Grant, with what is new."""
        self._check()
        self.asked.append(renewal)
        if self.silent:
            await asyncio.Event().wait()
        await asyncio.sleep(self.late_s)
        news = [entry for entry in self.entries if entry.epoch > renewal.known]
        at_s = asyncio.get_running_loop().time()
        return Grant(renewal.nonce, self.terms.duration_s, news, at_s)

    async def acknowledge(self, holder: str, epoch: int) -> None:
        """Note it."""
        del holder
        self._check()
        self.acked.append(epoch)

    async def leave(self, holder: str) -> None:
        """Note it."""
        self._check()
        self.gone.append(holder)

    async def pushed(self, known: int) -> None:
        """Wait for a kill that is pushed."""
        self._check()
        while self._pushed <= known:
            await asyncio.sleep(LOOK_S)

    def _check(self) -> None:
        if self.wrong is not None:
            raise self.wrong
        if self.broken:
            raise StoreUnavailable("the authority is away")
