"""Alerts until they are delivered."""

import sqlite3
from datetime import datetime
from functools import partial

from proxy.model.finding import Alert
from proxy.stores.rows import Row, alert_of, alert_values, micros
from proxy.stores.sqlite.database import Tables

_INSERT = """
INSERT INTO alerts (alert_id, at, kind, severity, message, tenant, agent, session_id, step_id)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (alert_id) DO NOTHING
"""
_DUE = """
SELECT alert_id, at, kind, severity, message, tenant, agent, session_id, step_id, tries
FROM alerts WHERE delivered_at IS NULL AND due_at <= ? ORDER BY due_at, seq LIMIT ?
"""
_DELIVERED = "UPDATE alerts SET delivered_at = ? WHERE alert_id = ?"
_FAILED = "UPDATE alerts SET tries = tries + 1, due_at = ? WHERE alert_id = ?"


class OutboxTables(Tables):
    """The port's Outbox. A new alert is due at once, whatever the clock says later."""

    async def enqueue_alert(self, alert: Alert) -> None:
        """See the port. An alert of the same id is stored once."""
        await self._change(_INSERT, alert_values(alert))

    async def due_alerts(self, now: datetime, limit: int) -> tuple[tuple[Alert, int], ...]:
        """See the port; the longest due first."""
        return await self._database.read_list(partial(_due, now_us=micros(now), limit=limit))

    async def alert_delivered(self, alert_id: str, at: datetime) -> None:
        """See the port."""
        await self._change(_DELIVERED, (micros(at), alert_id))

    async def alert_failed(self, alert_id: str, next_at: datetime) -> None:
        """See the port."""
        await self._change(_FAILED, (micros(next_at), alert_id))

    async def _change(self, sql: str, values: Row) -> None:
        await self._database.write(partial(_run, sql=sql, values=values))


def _run(connection: sqlite3.Connection, sql: str, values: Row) -> None:
    connection.execute(sql, values)


def _due(connection: sqlite3.Connection, now_us: int, limit: int) -> tuple[tuple[Alert, int], ...]:
    rows = connection.execute(_DUE, (now_us, limit)).fetchall()
    return tuple((alert_of(row[:-1]), row[-1]) for row in rows)
