"""The store port on one SQLite file."""

import sqlite3
from pathlib import Path

from proxy.stores.own_keys import OwnKeys
from proxy.stores.sqlite.approvals import ApprovalTables
from proxy.stores.sqlite.database import Database
from proxy.stores.sqlite.hooks import HookTables
from proxy.stores.sqlite.kill_leases import LeaseTables
from proxy.stores.sqlite.ledger import LedgerTables
from proxy.stores.sqlite.outbox import OutboxTables
from proxy.stores.sqlite.recoveries import RecoveryTables
from proxy.stores.sqlite.sessions import SessionTables

_BEAT = "UPDATE pulse SET beats = beats + 1 WHERE id = 1"


class SqliteStore(
    SessionTables,
    HookTables,
    LedgerTables,
    RecoveryTables,
    ApprovalTables,
    LeaseTables,
    OutboxTables,
):
    """The embedded ledger, for exactly one process and one event loop.

    `path` is the database file; beside it lie `-wal`, `-shm`, `.lock` and backups, all mode 0600,
    in a directory that is made with mode 0700 when there is none. An object is opened once.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(Database(path))
        self._keys = OwnKeys()

    async def open(self) -> None:
        """Take the ledger. Raises StoreInUse, SchemaNewer, StoreUnavailable."""
        await self._database.open()

    async def close(self) -> None:
        """Finish queued writes and let go; closing again changes nothing."""
        await self._database.close()

    async def ping(self) -> None:
        """Write one row and return when it is durable. Raises StoreUnavailable."""
        await self._database.write(_beat)

    async def shared_key(self, name: str) -> bytes:
        """See the port."""
        return self._keys.get(name)


def _beat(connection: sqlite3.Connection) -> None:
    connection.execute(_BEAT)
