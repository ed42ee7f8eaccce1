"""The store port on one PostgreSQL database."""

from proxy.stores.postgres.address import Address
from proxy.stores.postgres.approvals import ApprovalTables
from proxy.stores.postgres.database import Database
from proxy.stores.postgres.hooks import HookTables
from proxy.stores.postgres.kill_leases import LeaseTables
from proxy.stores.postgres.kill_log import KillTables
from proxy.stores.postgres.ledger import LedgerTables
from proxy.stores.postgres.outbox import OutboxTables
from proxy.stores.postgres.recoveries import RecoveryTables
from proxy.stores.postgres.sessions import SessionTables
from proxy.stores.postgres.shared_keys import KeyTables

_BEAT = "UPDATE instances SET seen_at = clock_timestamp() WHERE id = $1"


class PostgresStore(
    SessionTables,
    HookTables,
    LedgerTables,
    RecoveryTables,
    ApprovalTables,
    KillTables,
    LeaseTables,
    OutboxTables,
    KeyTables,
):
    """The shared ledger, for any number of processes; an object is opened once, on one event loop.

    The schema is made and upgraded by `detent db upgrade`, never by opening.
    """

    def __init__(self, address: Address) -> None:
        super().__init__(Database(address))

    async def open(self) -> None:
        """Join the replicas. Raises SchemaNewer, StoreUnavailable."""
        await self._database.open()

    async def close(self) -> None:
        """Finish what is under way and let go; closing again changes nothing."""
        await self.finish()
        await self._database.close()

    async def ping(self) -> None:
        """Write one row and return when it is durable. Raises StoreUnavailable."""
        await self._database.write(_BEAT, self._database.instance)
