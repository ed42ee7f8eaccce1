"""The kill log over connections of its own, for an event loop of its own.

The pool of the ledger belongs to the loop that carries the calls, and waits as that loop does.
"""

from types import TracebackType
from typing import Self

from proxy.stores.postgres.address import Address
from proxy.stores.postgres.database import Database
from proxy.stores.postgres.kill_leases import LeaseTables


class ServerAuthority(LeaseTables):
    """What a keeper of a kill lease asks, answered by the server. Opened on the loop that asks."""

    def __init__(self, address: Address) -> None:
        super().__init__(Database(address, only_listens=True))

    async def __aenter__(self) -> Self:
        await self._database.watch.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._database.close()
