-- Version 4: recovery. What a step needs to be settled when its owner is gone.
--
-- `state` stays what budgets and idempotency keys go by: a stuck step is unknown, an aborted one
-- failed, and `recovered` tells them apart. `holder` is who held the kill lease the step was
-- reserved under, `name/holder` for a sidecar; `context` is JSON: what else a further attempt needs.
-- `left_as` is the state a gone owner left it in. `taken_by` works on it until `due_at`.

ALTER TABLE steps ADD COLUMN holder TEXT NOT NULL DEFAULT '';
ALTER TABLE steps ADD COLUMN context TEXT NOT NULL DEFAULT '{}';
ALTER TABLE steps ADD COLUMN recovered TEXT NOT NULL DEFAULT ''
    CHECK (recovered = '' OR recovered = 'aborted' OR recovered = 'stuck');
ALTER TABLE steps ADD COLUMN left_as TEXT NOT NULL DEFAULT '';
ALTER TABLE steps ADD COLUMN taken_by TEXT NOT NULL DEFAULT '';
ALTER TABLE steps ADD COLUMN due_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE steps ADD COLUMN tries INTEGER NOT NULL DEFAULT 0;

DROP VIEW step_rows;

-- `phase` is the state as it is stored, for the index of unsettled steps.
CREATE VIEW intent_rows AS
SELECT seq, step_id, session_id, tenant, agent, server, tool, effect, recovery, arguments,
       arguments_sha256, epoch, at, number,
       CASE WHEN recovered = '' THEN state ELSE recovered END AS state,
       detail, decision_id, policy_revision, risk, holder, context, state AS phase
FROM steps;

-- A step with what recovery wants to know of it.
CREATE VIEW open_rows AS
SELECT intent_rows.*, steps.left_as, steps.settled_at, steps.tries, steps.idempotency_key,
       lease_id, broker, expires_at, credentials.state = 'ended' AS ended
FROM intent_rows JOIN steps USING (seq) LEFT JOIN credentials ON credentials.step = steps.seq;
