"""Whether calls could be taken now: lease fresh, ledger takes writes, policy gives answers."""

import asyncio
import time

from proxy.errors import StoreUnavailable
from proxy.killswitch.lease import KillLease
from proxy.pdp.decision import DecisionPoint
from proxy.stores.base import Store


class Health:
    """Looks when somebody asks, and then not again for `fresh_s` seconds.

    What does not answer within `timeout_s` seconds is not well. Whoever asks while a look is under
    way gets its result.
    """

    def __init__(
        self,
        store: Store,
        policy: DecisionPoint,
        lease: KillLease,
        fresh_s: float = 1.0,
        timeout_s: float = 2.0,
    ) -> None:
        self._store = store
        self._policy = policy
        self._lease = lease
        self._fresh_s = fresh_s
        self._timeout_s = timeout_s
        self._looking = asyncio.Lock()
        self._looked_at = float("-inf")
        self._well = False

    async def __call__(self) -> bool:
        """Return whether all is well."""
        async with self._looking:
            if time.monotonic() - self._looked_at >= self._fresh_s:
                self._well = await self._look()
                self._looked_at = time.monotonic()
            return self._well and self._lease.fresh()

    async def _look(self) -> bool:
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._store.ping()
                return await self._policy.answers()
        except (TimeoutError, StoreUnavailable):
            return False
