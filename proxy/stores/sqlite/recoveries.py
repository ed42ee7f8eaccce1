"""Steps that were left open: taken, tried again, settled."""

import json
import sqlite3
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from proxy.model.kill import KillVerdict
from proxy.model.ledger import IntentState, ReserveStatus, StepRow
from proxy.model.recovery import Covered, OpenStep, Resolution, Resumption, Take
from proxy.stores.recovery_rows import RESOLVED, open_step_of
from proxy.stores.rows import credential_values, micros, scope_keys, step_of
from proxy.stores.sqlite import budgets
from proxy.stores.sqlite.database import Database, Tables
from proxy.stores.sqlite.ledger import STOPPED

_SIDECARS_LEFT = """
UPDATE steps SET left_as = state, state = 'unknown', detail = :detail, settled_at = :at, due_at = 0
WHERE state <> 'done' AND state <> 'failed' AND state <> 'unknown'
      AND instr(holder, '/') > 0 AND holder NOT IN (SELECT value FROM json_each(:living))
RETURNING seq
"""
_TAKE = """
UPDATE steps SET taken_by = :by, due_at = :until
WHERE seq IN (SELECT seq FROM steps
              WHERE state <> 'done' AND state <> 'failed' AND state = 'unknown'
                    AND recovered = '' AND due_at <= :at AND holds <> '[]'
                    AND (left_as = '' OR instr(holder, '/') = 0 OR
                         (:can_tell AND holder NOT IN (SELECT value FROM json_each(:living))))
              ORDER BY seq LIMIT :limit)
RETURNING seq
"""
_OPEN = "SELECT * FROM open_rows WHERE seq IN (SELECT value FROM json_each(?)) ORDER BY seq"
_POSTPONE = """
UPDATE steps SET due_at = ?, tries = tries + ? WHERE step_id = ? AND taken_by = ?
"""
_TAKEN = """
SELECT seq FROM steps
WHERE step_id = ? AND taken_by = ? AND state = 'unknown' AND recovered = ''
"""
_GATE = """
SELECT EXISTS (SELECT 1 FROM sessions
               WHERE id = :session AND tenant = :tenant AND agent = :agent
                     AND state = 'open' AND expires_at > :at),
       EXISTS (SELECT 1 FROM agent_locks WHERE tenant = :tenant AND agent = :agent),
       EXISTS (SELECT 1 FROM json_each(:scopes) AS asked
               CROSS JOIN kill_scopes ON kill_scopes.scope = asked.value
               WHERE kill_scopes.active > 0 OR kill_scopes.floor > :epoch)
"""
_REPLACE_CREDENTIAL = """
INSERT OR REPLACE INTO credentials (step, lease_id, broker, audience, scope, expires_at, state)
VALUES (?, ?, ?, ?, ?, ?, 'pending')
"""
_FORGET_CREDENTIAL = "DELETE FROM credentials WHERE step = ?"
_END_CREDENTIAL = """
UPDATE credentials SET state = 'ended' WHERE step = (SELECT seq FROM steps WHERE step_id = ?)
"""
_RESOLVE = """
UPDATE steps SET state = :phase, recovered = :recovered, detail = :detail, settled_at = :at,
                 answer = CASE WHEN idempotency_key IS NOT NULL THEN coalesce(:answer, answer) END
WHERE step_id = :step AND state = 'unknown'
      AND CASE WHEN :by IS NULL THEN recovered = 'stuck'
               ELSE recovered = '' AND taken_by = :by END
RETURNING holds
"""
_COVERED = """
SELECT seq, step_id, due_at,
       EXISTS (SELECT 1 FROM credentials WHERE step = steps.seq AND state = 'pending') AS has_lent
FROM steps
WHERE state <> 'done' AND state <> 'failed' AND recovered = '' AND epoch < :epoch
      AND (state <> 'unknown' OR left_as <> '')
      AND holder NOT IN (SELECT value FROM json_each(:spared))
      AND EXISTS (SELECT 1 FROM json_each(:scopes) WHERE value IN
                  ('global:', 'tenant:' || tenant, 'agent:' || tenant || '/' || agent,
                   'session:' || session_id, 'tool:' || server || '/' || tool))
ORDER BY +seq
"""
_PRESUME = """
INSERT INTO kill_verdicts (epoch, step_id, verdict) VALUES (?, ?, ?) ON CONFLICT DO NOTHING
"""
_TAKE_LENT = """
UPDATE steps SET taken_by = :by, due_at = :until
WHERE seq IN (SELECT value FROM json_each(:found))
RETURNING seq
"""
_STEP = "SELECT * FROM intent_rows WHERE step_id = ?"
_UNSETTLED = """
SELECT state, count(*) FROM intent_rows WHERE phase <> 'done' AND phase <> 'failed' GROUP BY state
"""
_PHASES = {
    IntentState.STUCK: IntentState.UNKNOWN,
    IntentState.ABORTED: IntentState.FAILED,
}


class RecoveryTables(Tables):
    """The port's Recoveries. Who lives is kept in memory: nobody else has the ledger.

    Intents of an earlier run become unknown on start; those open since are this process's own, or
    a sidecar's that is attached to it.
    """

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._sidecars: dict[str, float] = {}
        self._since_s = _now_s()

    async def note_sidecars(self, holders: Sequence[str]) -> None:
        """See the port."""
        now = _now_s()
        self._sidecars |= dict.fromkeys(holders, now)

    async def abandoned_to_unknown(self, at: datetime, gone_after_s: float) -> tuple[StepRow, ...]:
        """See the port. A sidecar has that long to be heard of after a start."""
        if not self._can_tell(gone_after_s):
            return ()
        asked = {"at": micros(at), "living": self._living(gone_after_s), "detail": STOPPED}
        return await self._database.write(partial(_abandoned, asked=asked))

    async def take_unsettled(self, take: Take) -> tuple[OpenStep, ...]:
        """See the port."""
        asked = {
            "by": take.by,
            "at": micros(take.at),
            "until": micros(take.until),
            "limit": take.limit,
            "can_tell": self._can_tell(take.gone_after_s),
            "living": self._living(take.gone_after_s),
        }
        return await self._database.write(partial(_taken, sql=_TAKE, asked=asked))

    async def postpone(self, step_id: str, by: str, until: datetime, *, tried: bool) -> None:
        """See the port."""
        values = (micros(until), tried, step_id, by)
        await self._database.write(partial(_execute, sql=_POSTPONE, values=values))

    async def resume(self, resumption: Resumption) -> ReserveStatus:
        """See the port."""
        return await self._database.write(partial(_resume, asked=resumption))

    async def end_credential(self, step_id: str) -> None:
        """See the port."""
        await self._database.write(partial(_execute, sql=_END_CREDENTIAL, values=(step_id,)))

    async def resolve(self, resolution: Resolution) -> bool:
        """See the port. Raises ValueError for a state that is no resolution."""
        return await self._database.write(partial(_resolve, resolution=resolution))

    async def take_covered(self, covered: Covered) -> tuple[OpenStep, ...]:
        """See the port."""
        return await self._database.write(partial(_take_covered, covered=covered))

    async def has_covered(self, covered: Covered) -> bool:
        """See the port."""
        return self._database.read(partial(_has_covered, covered=covered))

    async def step(self, step_id: str) -> StepRow | None:
        """See the port."""
        return self._database.read(partial(_step, step_id=step_id))

    async def unsettled(self) -> Mapping[IntentState, int]:
        """See the port."""
        return await self._database.read_list(_unsettled)

    def _can_tell(self, gone_after_s: float) -> bool:
        return _now_s() - self._since_s >= gone_after_s

    def _living(self, gone_after_s: float) -> str:
        oldest = _now_s() - gone_after_s
        self._sidecars = {name: seen for name, seen in self._sidecars.items() if seen > oldest}
        return json.dumps([*self._sidecars])


def _now_s() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _execute(connection: sqlite3.Connection, sql: str, values: tuple[object, ...]) -> None:
    connection.execute(sql, values)


def _abandoned(connection: sqlite3.Connection, asked: Mapping[str, object]) -> tuple[StepRow, ...]:
    return tuple(one.row for one in _taken(connection, _SIDECARS_LEFT, asked))


def _taken(
    connection: sqlite3.Connection, sql: str, asked: Mapping[str, object]
) -> tuple[OpenStep, ...]:
    """Run a statement that returns `seq`, and return those steps, oldest first."""
    changed = json.dumps([seq for (seq,) in connection.execute(sql, asked).fetchall()])
    return tuple(map(open_step_of, connection.execute(_OPEN, (changed,)).fetchall()))


def _resume(connection: sqlite3.Connection, asked: Resumption) -> ReserveStatus:
    rows = connection.execute(_TAKEN, (asked.step_id, asked.by)).fetchall()
    if not rows:
        return ReserveStatus.RUNNING
    ((step,),) = rows
    gate = {
        "session": asked.session_id,
        "tenant": asked.tenant,
        "agent": asked.agent,
        "at": micros(asked.at),
        "epoch": asked.epoch,
        "scopes": scope_keys(asked.scopes),
    }
    ((is_open, locked, killed),) = connection.execute(_GATE, gate).fetchall()
    if not is_open:
        return ReserveStatus.SESSION_CLOSED
    if locked:
        return ReserveStatus.LOCKED
    if killed:
        return ReserveStatus.KILLED
    if asked.credential is None:
        connection.execute(_FORGET_CREDENTIAL, (step,))
    else:
        connection.execute(_REPLACE_CREDENTIAL, (step, *credential_values(asked.credential)))
    return ReserveStatus.RESERVED


def _resolve(connection: sqlite3.Connection, resolution: Resolution) -> bool:
    state, at_us = resolution.state, micros(resolution.at)
    if state not in RESOLVED:
        raise ValueError("A step is resolved as done, failed, aborted or stuck.")
    asked = {
        "step": resolution.step_id,
        "phase": _PHASES.get(state, state),
        "recovered": state if state in _PHASES else "",
        "detail": resolution.detail,
        "at": at_us,
        "answer": resolution.answer,
        "by": resolution.by,
    }
    rows = connection.execute(_RESOLVE, asked).fetchall()
    for (holds,) in rows:
        budgets.settle(connection, holds, _PHASES.get(state, state), at_us)
    return bool(rows)


def _take_covered(connection: sqlite3.Connection, covered: Covered) -> tuple[OpenStep, ...]:
    found = _covered(connection, covered)
    verdicts = [(covered.epoch, step_id, KillVerdict.UNKNOWN) for _, step_id, _, _ in found]
    connection.executemany(_PRESUME, verdicts)
    at = micros(covered.at)
    due = [seq for seq, _, due_at, has_lent in found if has_lent and due_at <= at]
    taking = {
        "by": covered.by,
        "until": micros(covered.until),
        "found": json.dumps(due[: covered.limit]),
    }
    return _taken(connection, _TAKE_LENT, taking)


def _has_covered(connection: sqlite3.Connection, covered: Covered) -> bool:
    return any(has_lent for *_, has_lent in _covered(connection, covered))


def _covered(connection: sqlite3.Connection, covered: Covered) -> list[tuple[Any, ...]]:
    asked = {
        "epoch": covered.epoch,
        "spared": json.dumps([*covered.spared]),
        "scopes": scope_keys(covered.scopes),
    }
    return connection.execute(_COVERED, asked).fetchall()


def _step(connection: sqlite3.Connection, step_id: str) -> StepRow | None:
    rows = connection.execute(_STEP, (step_id,)).fetchall()
    return step_of(rows[0]) if rows else None


def _unsettled(connection: sqlite3.Connection) -> Mapping[IntentState, int]:
    return {IntentState(state): count for state, count in connection.execute(_UNSETTLED)}
