"""Kills and lifts by epoch, and the fold by scope that `reserve` checks in its transaction."""

import sqlite3
from functools import partial

from proxy.model.kill import KillAction, KillEntry, KillOrder, KillVerdict
from proxy.stores.rows import entry_of, order_values, scope_key
from proxy.stores.sqlite.database import Tables

_COLUMNS_BY_ORDER = """
SELECT epoch, order_id, action, scopes, actor, reason, at, lifts FROM kills WHERE order_id = ?
"""
_APPEND = """
INSERT INTO kills (epoch, order_id, action, scopes, actor, reason, at, lifts)
VALUES ((SELECT coalesce(max(epoch), 0) + 1 FROM kills), ?, ?, ?, ?, ?, ?, ?)
RETURNING epoch, order_id, action, scopes, actor, reason, at, lifts
"""
_TOUCH = """
INSERT INTO kill_scopes (scope, floor, active) VALUES (:scope, :epoch, :kill)
ON CONFLICT (scope) DO UPDATE SET floor = excluded.floor, active = active + excluded.active
"""
_TAKE_BACK = """
UPDATE kills SET lifted = 1 WHERE epoch = ? AND action = 'kill' AND lifted = 0
RETURNING scopes
"""
_RELEASE = """
UPDATE kill_scopes SET active = active - 1
WHERE scope IN (SELECT value FROM json_each(?))
"""
_LOG = "SELECT epoch, order_id, action, scopes, actor, reason, at, lifts FROM kills ORDER BY epoch"
_SET_VERDICT = """
INSERT INTO kill_verdicts (epoch, step_id, verdict) VALUES (?, ?, ?)
ON CONFLICT (epoch, step_id) DO UPDATE SET verdict = excluded.verdict
"""
_VERDICTS = "SELECT step_id, verdict FROM kill_verdicts WHERE epoch = ?"


class KillTables(Tables):
    """The port's KillLog."""

    async def append_kill(self, order: KillOrder) -> KillEntry:
        """See the port. Goes before every queued write and commits alone."""
        return await self._database.write(partial(_append, order=order), urgent=True)

    async def kill_log(self) -> tuple[KillEntry, ...]:
        """See the port."""
        return await self._database.read_list(_log)

    async def record_kill_verdict(self, epoch: int, step_id: str, verdict: KillVerdict) -> None:
        """See the port. Not urgent: many verdicts follow one kill, none may delay the next."""
        await self._database.write(
            partial(_set_verdict, epoch=epoch, step_id=step_id, verdict=verdict)
        )

    async def kill_verdicts(self, epoch: int) -> dict[str, KillVerdict]:
        """See the port."""
        return await self._database.read_list(partial(_verdicts, epoch=epoch))


def _append(connection: sqlite3.Connection, order: KillOrder) -> KillEntry:
    rows = connection.execute(_COLUMNS_BY_ORDER, (order.id,)).fetchall()
    if rows:
        return entry_of(rows[0])
    ((*row,),) = connection.execute(_APPEND, order_values(order)).fetchall()
    entry = entry_of(tuple(row))
    if order.action is KillAction.LIFT:
        _lift(connection, order)
    kill = order.action is KillAction.KILL
    for scope in sorted({scope_key(scope) for scope in order.scopes}):
        connection.execute(_TOUCH, {"scope": scope, "epoch": entry.epoch, "kill": kill})
    return entry


def _lift(connection: sqlite3.Connection, order: KillOrder) -> None:
    """Take one kill out of force, once; other kills of the same scopes stay."""
    taken = connection.execute(_TAKE_BACK, (order.lifts,)).fetchall()
    for (scopes,) in taken:
        connection.execute(_RELEASE, (scopes,))


def _log(connection: sqlite3.Connection) -> tuple[KillEntry, ...]:
    return tuple(entry_of(row) for row in connection.execute(_LOG).fetchall())


def _set_verdict(
    connection: sqlite3.Connection, epoch: int, step_id: str, verdict: KillVerdict
) -> None:
    connection.execute(_SET_VERDICT, (epoch, step_id, verdict))


def _verdicts(connection: sqlite3.Connection, epoch: int) -> dict[str, KillVerdict]:
    rows = connection.execute(_VERDICTS, (epoch,)).fetchall()
    return {step_id: KillVerdict(verdict) for step_id, verdict in rows}
