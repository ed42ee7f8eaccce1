"""Alerts until they are delivered. Replicas share the work: who takes one has it for a while."""

from datetime import datetime

from proxy.model.finding import Alert
from proxy.stores.postgres.database import Tables
from proxy.stores.rows import alert_of, alert_values, micros

TAKEN_S = 30

_INSERT = """
INSERT INTO alerts (alert_id, at, kind, severity, message, tenant, agent, session_id, step_id)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT (alert_id) DO NOTHING
"""
_TAKE = f"""
WITH due AS (
    SELECT seq FROM alerts
    WHERE delivered_at IS NULL AND due_at <= $1
          AND (taken_by IS NULL OR taken_by = $3 OR taken_until < clock_timestamp())
    ORDER BY due_at, seq LIMIT $2 FOR UPDATE SKIP LOCKED
), taken AS (
    UPDATE alerts
    SET taken_by = $3, taken_until = clock_timestamp() + interval '{TAKEN_S} seconds'
    FROM due WHERE alerts.seq = due.seq
    RETURNING alerts.*
)
SELECT alert_id, at, kind, severity, message, tenant, agent, session_id, step_id, tries
FROM taken ORDER BY due_at, seq
"""  # noqa: S608 - a number of ours is all that is put in
_DELIVERED = "UPDATE alerts SET delivered_at = $2 WHERE alert_id = $1"
_FAILED = """
UPDATE alerts SET tries = tries + 1, due_at = $2, taken_by = NULL WHERE alert_id = $1
"""


class OutboxTables(Tables):
    """The port's Outbox. A new alert is due at once, whatever the clock says later."""

    async def enqueue_alert(self, alert: Alert) -> None:
        """See the port. An alert of the same id is stored once."""
        await self._database.write(_INSERT, *alert_values(alert))

    async def due_alerts(self, now: datetime, limit: int) -> tuple[tuple[Alert, int], ...]:
        """See the port; the longest due first. Other replicas do not get these meanwhile."""
        rows = await self._database.write(_TAKE, micros(now), limit, self._database.instance)
        return tuple((alert_of(tuple(row[:-1])), row[-1]) for row in map(tuple, rows))

    async def alert_delivered(self, alert_id: str, at: datetime) -> None:
        """See the port."""
        await self._database.write(_DELIVERED, alert_id, micros(at))

    async def alert_failed(self, alert_id: str, next_at: datetime) -> None:
        """See the port."""
        await self._database.write(_FAILED, alert_id, micros(next_at))
