"""Who holds a kill lease: this process, and nobody else has the ledger. So it is kept in memory."""

import asyncio
import math
import sqlite3
import time
from functools import partial

from proxy.model.kill import KillEntry, KillOrder
from proxy.model.lease import Grant, Renewal
from proxy.stores.rows import entry_of
from proxy.stores.sqlite.database import Database
from proxy.stores.sqlite.kill_log import KillTables

REMEMBERED_S = 60.0

_BEAT = "UPDATE pulse SET beats = beats + 1 WHERE id = 1"
_NEWEST = "SELECT coalesce(max(epoch), 0) FROM kills"
_SINCE = """
SELECT epoch, order_id, action, scopes, actor, reason, at, lifts FROM kills
WHERE epoch > ? ORDER BY epoch
"""


class LeaseTables(KillTables):
    """The port's KillLeases."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._holders: dict[str, tuple[int, float]] = {}
        self._appended = asyncio.Condition()

    async def append_kill(self, order: KillOrder) -> KillEntry:
        """See the port; whoever waits for an epoch is told."""
        entry = await super().append_kill(order)
        async with self._appended:
            self._appended.notify_all()
        return entry

    async def renew(self, renewal: Renewal) -> Grant:
        """See the port. Goes before queued writes, as kills do."""
        entries = await self._database.write(partial(_renew, known=renewal.known), urgent=True)
        self._note(renewal.holder, renewal.acked)
        return Grant(renewal.nonce, math.inf, entries, _now_s())

    async def acknowledge(self, holder: str, epoch: int) -> None:
        """See the port."""
        if holder in self._holders:
            self._note(holder, epoch)

    async def leave(self, holder: str) -> None:
        """See the port."""
        self._holders.pop(holder, None)

    async def pushed(self, known: int) -> None:
        """See the port."""
        async with self._appended:
            while self._database.read(_newest) <= known:
                await self._appended.wait()

    async def holders(self) -> dict[str, int]:
        """See the port."""
        oldest = _now_s() - REMEMBERED_S
        return {name: acked for name, (acked, seen) in self._holders.items() if seen > oldest}

    def _note(self, holder: str, acked: int) -> None:
        before, _ = self._holders.get(holder, (0, 0.0))
        self._holders[holder] = (max(before, acked), _now_s())


def _now_s() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _renew(connection: sqlite3.Connection, known: int) -> tuple[KillEntry, ...]:
    connection.execute(_BEAT)
    return tuple(entry_of(row) for row in connection.execute(_SINCE, (known,)).fetchall())


def _newest(connection: sqlite3.Connection) -> int:
    return int(connection.execute(_NEWEST).fetchall()[0][0])
