"""Steps that were left open: taken, tried again, settled. Any replica may take any."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from proxy.model.ledger import IntentState, ReserveStatus, StepRow
from proxy.model.recovery import Covered, OpenStep, Resolution, Resumption, Take
from proxy.stores.postgres.database import Tables
from proxy.stores.postgres.ledger import STOPPED
from proxy.stores.recovery_rows import RESOLVED, open_step_of
from proxy.stores.rows import credential_values, micros, scope_key, step_of

_NOTE = """
INSERT INTO sidecar_holders (holder) SELECT DISTINCT unnest($1::text[]) AS name ORDER BY name
ON CONFLICT (holder) DO UPDATE SET seen_at = clock_timestamp()
"""
# Of those that are alive, no step is touched: they settle their own.
_ABANDONED = """
WITH gone AS MATERIALIZED (
    SELECT instance, holder
    FROM (SELECT DISTINCT instance, holder FROM steps
          WHERE state <> 'done' AND state <> 'failed' AND state <> 'unknown') AS open_at
    WHERE (instance <> $3 OR strpos(holder, '/') > 0) AND is_gone(instance, holder, $4)
), stopped AS (
    UPDATE steps SET left_as = state, state = 'unknown', detail = $1, settled_at = $2, due_at = 0
    FROM gone
    WHERE steps.instance = gone.instance AND steps.holder = gone.holder
          AND state <> 'done' AND state <> 'failed' AND state <> 'unknown'
    RETURNING steps.seq
)
SELECT seq FROM stopped
"""
_TAKE = """
UPDATE steps SET taken_by = $1, due_at = $3
WHERE seq IN (SELECT seq FROM steps
              WHERE state <> 'done' AND state <> 'failed' AND state = 'unknown'
                    AND recovered = '' AND due_at <= $2 AND holds <> '[]'
                    AND (left_as = '' OR is_gone(instance, holder, $4))
              ORDER BY seq LIMIT $5 FOR NO KEY UPDATE SKIP LOCKED)
RETURNING seq
"""
_OPEN = "SELECT * FROM open_rows WHERE seq = ANY ($1::bigint[]) ORDER BY seq"
_POSTPONE = """
UPDATE steps SET due_at = $3, tries = tries + $4::integer WHERE step_id = $1 AND taken_by = $2
"""
_RESUME = "SELECT resume($1::jsonb)"
_RESOLVE = "SELECT resolve($1::jsonb, $2)"
_END_CREDENTIAL = """
UPDATE credentials SET state = 'ended' WHERE step = (SELECT seq FROM steps WHERE step_id = $1)
"""
_UNDER_A_KILL = """
SELECT seq, step_id, due_at,
       EXISTS (SELECT 1 FROM credentials WHERE step = steps.seq AND state = 'pending') AS has_lent
FROM steps
WHERE state <> 'done' AND state <> 'failed' AND recovered = '' AND epoch < $1
      AND (state <> 'unknown' OR left_as <> '') AND NOT holder = ANY ($2::text[])
      AND scopes_of_step(tenant, agent, session_id, server, tool) && $3::text[]
"""
# One statement: whoever comes second waits for the rows, and then finds them taken.
_COVERED = f"""
WITH found AS MATERIALIZED ({_UNDER_A_KILL}), presumed AS (
    INSERT INTO kill_verdicts (epoch, step_id, verdict) SELECT $1, step_id, 'unknown' FROM found
    WHERE NOT EXISTS (SELECT 1 FROM kill_verdicts
                      WHERE kill_verdicts.epoch = $1 AND kill_verdicts.step_id = found.step_id)
    ON CONFLICT DO NOTHING
)
UPDATE steps SET taken_by = $5, due_at = $7
WHERE seq IN (SELECT seq FROM found WHERE has_lent AND due_at <= $6 ORDER BY seq LIMIT $4)
      AND due_at <= $6
RETURNING seq
"""  # noqa: S608 - a statement of ours is all that is put in
_HAS_COVERED = f"SELECT EXISTS (SELECT 1 FROM ({_UNDER_A_KILL}) AS found WHERE has_lent)"  # noqa: S608 - the same
_STEP = "SELECT * FROM intent_rows WHERE step_id = $1"
_UNSETTLED = """
SELECT state, count(*) FROM intent_rows WHERE phase <> 'done' AND phase <> 'failed' GROUP BY state
"""


class RecoveryTables(Tables):
    """The port's Recoveries."""

    async def note_sidecars(self, holders: Sequence[str]) -> None:
        """See the port."""
        if holders:
            await self._database.write(_NOTE, [*holders])

    async def abandoned_to_unknown(self, at: datetime, gone_after_s: float) -> tuple[StepRow, ...]:
        """See the port. The clock of what was heard when is the server's."""
        gone_after = timedelta(seconds=gone_after_s)
        asked = (STOPPED, micros(at), self._database.instance, gone_after)
        return tuple(one.row for one in await self._taken(_ABANDONED, *asked))

    async def take_unsettled(self, take: Take) -> tuple[OpenStep, ...]:
        """See the port."""
        gone_after = timedelta(seconds=take.gone_after_s)
        asked = (take.by, micros(take.at), micros(take.until), gone_after, take.limit)
        return await self._taken(_TAKE, *asked)

    async def postpone(self, step_id: str, by: str, until: datetime, *, tried: bool) -> None:
        """See the port."""
        await self._database.write(_POSTPONE, step_id, by, micros(until), int(tried))

    async def resume(self, resumption: Resumption) -> ReserveStatus:
        """See the port. Takes the locks that a reservation takes, in their order."""
        ((status,),) = await self._database.write(_RESUME, _resumption(resumption))
        return ReserveStatus(status)

    async def end_credential(self, step_id: str) -> None:
        """See the port."""
        await self._database.write(_END_CREDENTIAL, step_id)

    async def resolve(self, resolution: Resolution) -> bool:
        """See the port. Raises ValueError for a state that is no resolution."""
        if resolution.state not in RESOLVED:
            raise ValueError("A step is resolved as done, failed, aborted or stuck.")
        asked = {
            "step_id": resolution.step_id,
            "state": resolution.state,
            "at": micros(resolution.at),
            "detail": resolution.detail,
            "taken_by": resolution.by,
        }
        ((mine,),) = await self._database.write(_RESOLVE, json.dumps(asked), resolution.answer)
        return bool(mine)

    async def take_covered(self, covered: Covered) -> tuple[OpenStep, ...]:
        """See the port."""
        asked = (*_under(covered), covered.limit, covered.by)
        return await self._taken(_COVERED, *asked, micros(covered.at), micros(covered.until))

    async def has_covered(self, covered: Covered) -> bool:
        """See the port."""
        ((is_left,),) = await self._database.fetch(_HAS_COVERED, *_under(covered))
        return bool(is_left)

    async def step(self, step_id: str) -> StepRow | None:
        """See the port."""
        rows = await self._database.fetch(_STEP, step_id)
        return step_of(tuple(rows[0])) if rows else None

    async def unsettled(self) -> Mapping[IntentState, int]:
        """See the port."""
        rows = await self._database.fetch(_UNSETTLED)
        return {IntentState(state): count for state, count in map(tuple, rows)}

    async def _taken(self, sql: str, *asked: object) -> tuple[OpenStep, ...]:
        """Run a statement that returns `seq`, and return those steps, oldest first."""
        rows = await self._database.write(sql, *asked)
        if not rows:
            return ()
        found = await self._database.fetch(_OPEN, [seq for (seq,) in map(tuple, rows)])
        return tuple(open_step_of(tuple(row)) for row in found)


def _resumption(asked: Resumption) -> str:
    """Return a resumption as JSON; what `refused` looks at has the names of a reservation."""
    lent = asked.credential
    return json.dumps(
        {
            "step_id": asked.step_id,
            "taken_by": asked.by,
            "tenant": asked.tenant,
            "agent": asked.agent,
            "session_id": asked.session_id,
            "scopes": [scope_key(scope) for scope in asked.scopes],
            "epoch": asked.epoch,
            "at": micros(asked.at),
            "sane": True,
            "holds": [],
            "approval": None,
            "credential": None if lent is None else credential_values(lent),
        }
    )


def _under(covered: Covered) -> tuple[object, ...]:
    return covered.epoch, [*covered.spared], [scope_key(scope) for scope in covered.scopes]
