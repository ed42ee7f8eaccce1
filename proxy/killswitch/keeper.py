"""Keeps the kill lease alive: asks in time, obeys what it hears, says so.

Renewals go out every fifth of a lease whether or not the last was answered: a lost answer costs
one of five. A push makes it ask at once. What is heard is obeyed first (in force for every check,
calls and streams cut) and only then acknowledged: when what looked before it was heard is written
too, and everybody who holds a lease of ours obeys it.
"""

import asyncio
import contextlib
import logging
from typing import Protocol

from proxy.errors import StoreError, StoreUnavailable
from proxy.killswitch.lease import KillLease
from proxy.killswitch.relay import Relay
from proxy.killswitch.switch import KillSwitch
from proxy.model.lease import Grant, Renewal

log = logging.getLogger(__name__)

LOOK_AGAIN_S = 0.005
FIRST_TRIES = 5


class Authority(Protocol):
    """Who knows the kill log: the store, or the gateway this process is attached to.

    All methods raise StoreUnavailable.
    """

    async def renew(self, renewal: Renewal) -> Grant:
        """Answer a renewal with every kill that was committed before it was asked."""
        ...

    async def acknowledge(self, holder: str, epoch: int) -> None:
        """Note that a holder obeys every kill up to this epoch."""
        ...

    async def leave(self, holder: str) -> None:
        """Note that a holder starts nothing any more."""
        ...

    async def pushed(self, known: int) -> None:
        """Return as soon as there may be a newer epoch; waits for ever while there is none."""
        ...


class LeaseKeeper:
    """The holder's life: start, renewals, pushes, acknowledgements, end. On one event loop."""

    def __init__(
        self,
        lease: KillLease,
        kill_switch: KillSwitch,
        authority: Authority,
        relay: Relay | None = None,
    ) -> None:
        self._lease = lease
        self._kill_switch = kill_switch
        self._authority = authority
        self._relay = relay
        self._acked = 0
        self._tasks = asyncio.TaskGroup()
        self._keeping: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Get the first lease and keep it. Raises StoreUnavailable."""
        await self._first_lease()
        self._acked = self._obeyed()
        self._keeping = asyncio.create_task(self._keep())

    async def _first_lease(self) -> None:
        """Ask again when the answer took longer than a lease lasts: the machine is busy."""
        for _ in range(FIRST_TRIES):
            with contextlib.suppress(TimeoutError):
                await self._renew()
                return
        raise StoreUnavailable("the ledger granted no kill lease in time")

    async def stop(self) -> None:
        """Give the lease up; nothing of this process starts any more.

        Who holds a lease of ours may still start calls: then nobody is told that we have left, and
        kills are waited for until our last lease has run out, as theirs have by then.
        """
        await self._end()
        self._lease.give_up()
        with contextlib.suppress(StoreError, TimeoutError):
            async with asyncio.timeout(self._lease.terms.duration_s):
                await self._written(self._kill_switch.threshold.standing())
                if self._relay is None or not self._relay.holding():
                    await self._authority.leave(self._lease.holder)

    async def kept(self) -> None:
        """Wait for ever; raises ExceptionGroup when something unforeseen ended the renewals.

        The lease is not given up then: it runs out, and calls may start until it has.
        """
        if self._keeping is not None:
            await asyncio.shield(self._keeping)

    async def _end(self) -> None:
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.gather(self._keeping, return_exceptions=True)

    async def _keep(self) -> None:
        async with self._tasks as tasks:
            tasks.create_task(self._renewing())
            tasks.create_task(self._listening())

    async def _renewing(self) -> None:
        while True:
            await asyncio.sleep(self._lease.terms.renew_every_s)
            self._tasks.create_task(self._try_to_renew())

    async def _listening(self) -> None:
        while True:
            try:
                await self._authority.pushed(self._kill_switch.synced)
                await self._renewed()
            except (StoreError, TimeoutError):
                await asyncio.sleep(self._lease.terms.renew_every_s)

    async def _try_to_renew(self) -> None:
        try:
            await self._renewed()
        except (StoreError, TimeoutError) as error:
            left_s = round(self._lease.remaining_s, 2)
            log.warning("kill lease not renewed: %s", error, extra={"left_s": left_s})

    async def _renewed(self) -> None:
        if await self._renew():
            epoch = self._kill_switch.synced  # before who stands on the threshold is looked at
            looked = self._kill_switch.threshold.standing()
            self._tasks.create_task(self._acknowledge(epoch, looked))

    async def _renew(self) -> bool:
        """Ask, obey, then take the lease: it is never fresher than what is obeyed.

        Return whether there was anything new to acknowledge: a kill of our own is, too.
        """
        known = self._kill_switch.synced
        renewal = self._lease.ask(self._kill_switch.synced, self._acked)
        async with asyncio.timeout(self._lease.terms.duration_s):
            grant = await self._authority.renew(renewal)
        self._kill_switch.learn(grant.entries)
        self._lease.granted(grant)
        return self._kill_switch.synced > known

    async def _acknowledge(self, epoch: int, looked: frozenset[str]) -> None:
        """Say that this epoch is obeyed, as soon as those that hold a lease of ours obey it too.

        `looked`: the calls that may have looked before it was known.
        """
        await self._written(looked)
        while self._acked < epoch:
            if (obeyed := min(epoch, self._obeyed())) > self._acked:
                with contextlib.suppress(StoreError):
                    await self._authority.acknowledge(self._lease.holder, obeyed)
                self._acked = max(self._acked, obeyed)
            else:
                await asyncio.sleep(LOOK_AGAIN_S)

    async def _written(self, looked: frozenset[str]) -> None:
        """Return when these calls are written or refused."""
        threshold = self._kill_switch.threshold
        while looked & threshold.standing():  # noqa: ASYNC110 - an event is of one loop, this of two
            await asyncio.sleep(LOOK_AGAIN_S)

    def _obeyed(self) -> int:
        epoch = self._kill_switch.synced
        return self._relay.obeyed(epoch) if self._relay else epoch
