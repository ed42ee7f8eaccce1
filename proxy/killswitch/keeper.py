"""Keeps the kill lease alive: asks in time, obeys what it hears, says so.

Renewals go out every fifth of a lease whether or not the last was answered: a lost answer costs
one of five. A push makes it ask at once. What is heard is obeyed first (halted in memory, calls
and streams cut) and only then acknowledged.
"""

import asyncio
import contextlib
import logging
from collections.abc import Coroutine
from typing import Protocol

from proxy.errors import StoreError
from proxy.killswitch.lease import KillLease
from proxy.killswitch.relay import Relay
from proxy.killswitch.switch import KillSwitch
from proxy.model.lease import Grant, Renewal

log = logging.getLogger(__name__)

LOOK_AGAIN_S = 0.005


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
    """The holder's life: start, renewals, pushes, acknowledgements, end."""

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
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Get the first lease and keep it. Raises StoreUnavailable."""
        await self._renew()
        self._acked = self._obeyed()
        for work in (self._renewing(), self._listening()):
            self._later(work)

    async def stop(self) -> None:
        """Give the lease up; nothing of this process starts any more."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with contextlib.suppress(StoreError, TimeoutError):
            async with asyncio.timeout(self._lease.terms.duration_s):
                await self._authority.leave(self._lease.holder)

    async def _renewing(self) -> None:
        while True:
            await asyncio.sleep(self._lease.terms.renew_every_s)
            self._later(self._try_to_renew())

    async def _listening(self) -> None:
        while True:
            try:
                await self._authority.pushed(self._kill_switch.synced)
                await self._renew()
            except (StoreError, TimeoutError):
                await asyncio.sleep(self._lease.terms.renew_every_s)

    async def _try_to_renew(self) -> None:
        try:
            await self._renew()
        except (StoreError, TimeoutError) as error:
            left_s = round(self._lease.remaining_s, 2)
            log.warning("kill lease not renewed: %s", error, extra={"left_s": left_s})

    async def _renew(self) -> None:
        """Ask, obey, then take the lease: it is never fresher than what is obeyed."""
        renewal = self._lease.ask(self._kill_switch.synced, self._acked)
        async with asyncio.timeout(self._lease.terms.duration_s):
            grant = await self._authority.renew(renewal)
        if self._kill_switch.learn(grant.entries):
            self._later(self._acknowledge())
        self._lease.granted(grant)

    async def _acknowledge(self) -> None:
        """Say what is obeyed, as soon as those that hold a lease of ours obey it as well."""
        epoch = self._kill_switch.synced
        while self._acked < epoch:
            if (obeyed := self._obeyed()) > self._acked:
                with contextlib.suppress(StoreError):
                    await self._authority.acknowledge(self._lease.holder, obeyed)
                self._acked = max(self._acked, obeyed)
            else:
                await asyncio.sleep(LOOK_AGAIN_S)

    def _obeyed(self) -> int:
        epoch = self._kill_switch.synced
        return self._relay.obeyed(epoch) if self._relay else epoch

    def _later(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
