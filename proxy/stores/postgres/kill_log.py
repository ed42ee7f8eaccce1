"""Kills and lifts by epoch. Their writes have connections of their own."""

import json

from proxy.model.kill import KillEntry, KillOrder, KillVerdict
from proxy.stores.postgres.database import Tables
from proxy.stores.rows import entry_of, order_values

_COLUMNS = "epoch, order_id, action, scopes, actor, reason, at, lifts"
_APPEND = f"SELECT {_COLUMNS} FROM append_kill($1::jsonb)"  # noqa: S608 - columns are ours
_LOG = f"SELECT {_COLUMNS} FROM kills ORDER BY epoch"  # noqa: S608 - columns are ours
_SET_VERDICT = """
INSERT INTO kill_verdicts (epoch, step_id, verdict) VALUES ($1, $2, $3)
ON CONFLICT (epoch, step_id) DO UPDATE SET verdict = excluded.verdict
"""
_VERDICTS = "SELECT step_id, verdict FROM kill_verdicts WHERE epoch = $1"


class KillTables(Tables):
    """The port's KillLog."""

    async def append_kill(self, order: KillOrder) -> KillEntry:
        """See the port. Waits for the reservations under way, and no other begins meanwhile."""
        (row,) = await self._database.write_kill(_APPEND, json.dumps(order_values(order)))
        return entry_of(tuple(row))

    async def kill_log(self) -> tuple[KillEntry, ...]:
        """See the port."""
        return tuple(entry_of(tuple(row)) for row in await self._database.fetch_kill(_LOG))

    async def record_kill_verdict(self, epoch: int, step_id: str, verdict: KillVerdict) -> None:
        """See the port. Not on a kill's connection: many verdicts follow one kill."""
        await self._database.write(_SET_VERDICT, epoch, step_id, verdict)

    async def kill_verdicts(self, epoch: int) -> dict[str, KillVerdict]:
        """See the port."""
        rows = await self._database.fetch(_VERDICTS, epoch)
        return {step_id: KillVerdict(verdict) for step_id, verdict in rows}
