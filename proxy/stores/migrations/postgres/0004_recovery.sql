-- compatible: 2
-- Version 4: recovery. What a step needs to be settled when its owner is gone.
--
-- `state` stays what budgets and idempotency keys go by, and what a Detent before this one reads: a
-- stuck step is unknown, an aborted one failed, and `recovered` tells them apart. `holder` is who
-- held the kill lease the step was reserved under, `name/holder` for a sidecar; `context` is JSON:
-- what else a further attempt needs. `left_as` is the state a gone owner left it in. `taken_by` works
-- on it until `due_at`.

ALTER TABLE steps
    ADD COLUMN holder    text NOT NULL DEFAULT '',
    ADD COLUMN context   text NOT NULL DEFAULT '{}',
    ADD COLUMN recovered text NOT NULL DEFAULT '' CHECK (recovered IN ('', 'aborted', 'stuck')),
    ADD COLUMN left_as   text NOT NULL DEFAULT '',
    ADD COLUMN taken_by  text NOT NULL DEFAULT '',
    ADD COLUMN due_at    bigint NOT NULL DEFAULT 0,
    ADD COLUMN tries     bigint NOT NULL DEFAULT 0;

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

-- Sidecars that hold a kill lease, by `name/holder`, as the replica that granted it saw them last.
CREATE TABLE sidecar_holders (
    holder  text PRIMARY KEY,
    seen_at timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 50);

-- Whether nobody carries a step any more: its owner may start nothing, and settles nothing.

CREATE FUNCTION is_gone(instance_ integer, holder_ text, gone_after interval) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN strpos(holder_, '/') > 0 THEN
        NOT EXISTS (SELECT 1 FROM sidecar_holders
                    WHERE holder = holder_ AND seen_at > clock_timestamp() - gone_after)
    ELSE
        NOT alive(instance_)
        AND NOT EXISTS (SELECT 1 FROM kill_holders
                        WHERE holder = holder_ AND seen_at > clock_timestamp() - gone_after)
    END
$$;

-- Every scope a step stands under, as keys.

CREATE FUNCTION scopes_of_step(tenant text, agent text, session_id text, server text, tool text)
RETURNS text[]
LANGUAGE sql IMMUTABLE AS $$
    SELECT ARRAY['global:', 'tenant:' || tenant, 'agent:' || tenant || '/' || agent,
                 'session:' || session_id, 'tool:' || server || '/' || tool]
$$;

-- As before, and with who holds the lease. A Detent before this one names none. That a sidecar
-- reserves shows that it lives, to replicas as well that did not grant it its lease; its row is not
-- locked for every call.

CREATE OR REPLACE FUNCTION write_reservation(asked jsonb, arguments_ bytea, number_ bigint)
RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    step bigint;
    lent jsonb := asked->'credential';
    holder_ text := coalesce(asked->>'holder', '');
BEGIN
    IF strpos(holder_, '/') > 0
       AND NOT EXISTS (SELECT 1 FROM sidecar_holders
                       WHERE sidecar_holders.holder = holder_
                             AND seen_at > clock_timestamp() - interval '1 second') THEN
        INSERT INTO sidecar_holders (holder) VALUES (holder_)
        ON CONFLICT (holder) DO UPDATE SET seen_at = excluded.seen_at;
    END IF;
    INSERT INTO steps (step_id, session_id, number, tenant, agent, server, tool, effect, recovery,
                       arguments_sha256, epoch, at, decision_id, policy_revision, risk,
                       idempotency_key, request_sha256, holds, arguments, instance, holder, context)
    VALUES (asked->>'step_id', asked->>'session_id', number_, asked->>'tenant', asked->>'agent',
            asked->>'server', asked->>'tool', asked->>'effect', asked->>'recovery',
            asked->>'arguments_sha256', (asked->>'epoch')::bigint, (asked->>'at')::bigint,
            asked->'decision'->>0, asked->'decision'->>11, (asked->'decision'->>14)::bigint,
            asked#>>'{claim,key}', asked#>>'{claim,request_sha256}', asked->'held', arguments_,
            (asked->>'instance')::integer, holder_, coalesce(asked->>'context', '{}'))
    RETURNING seq INTO step;
    PERFORM record_decision(asked->'decision', true);
    UPDATE accounts SET held = accounts.held + hold.risk
    FROM jsonb_to_recordset(asked->'holds') AS hold (account text, risk bigint)
    WHERE accounts.account = hold.account;
    IF asked->'labels' <> '[]' THEN
        PERFORM add_labels(asked->>'tenant', asked->>'agent', asked->'labels');
    END IF;
    IF lent <> 'null' THEN
        INSERT INTO credentials (step, lease_id, broker, audience, scope, expires_at)
        VALUES (step, lent->>0, lent->>1, lent->>2, lent->>3, (lent->>4)::bigint);
    END IF;
END
$$;

-- As before; what was stuck and is known after all is stuck no longer.

CREATE OR REPLACE FUNCTION settle(asked jsonb, answer_ bytea) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    step record;
    became text := asked->>'state';
    spent boolean := (asked->>'spent')::boolean;
BEGIN
    SELECT steps.state, steps.seq, steps.tenant, steps.agent, steps.holds INTO step
    FROM steps WHERE steps.step_id = asked->>'step_id' FOR NO KEY UPDATE;
    IF NOT FOUND OR step.state IN ('done', 'failed') THEN
        RETURN;
    ELSIF became = 'unknown' THEN
        -- The owner of a step it had left open is back, and knows no more.
        UPDATE steps SET left_as = '' WHERE seq = step.seq;
        IF step.state = 'unknown' AND NOT spent THEN
            RETURN;
        END IF;
    END IF;
    UPDATE steps
    SET state = became, detail = asked->>'detail', settled_at = (asked->>'at')::bigint,
        answer = CASE WHEN idempotency_key IS NOT NULL THEN coalesce(answer_, answer) END,
        holds = CASE WHEN spent THEN '[]' ELSE holds END,
        recovered = CASE WHEN became = 'unknown' THEN recovered ELSE '' END
    WHERE seq = step.seq;
    IF became <> 'unknown' OR spent THEN
        PERFORM settle_holds(step.holds, became = 'done' OR spent, (asked->>'at')::bigint);
    END IF;
    IF asked->'labels' <> '[]' THEN
        PERFORM add_labels(step.tenant, step.agent, asked->'labels');
    END IF;
    UPDATE credentials SET state = 'ended' WHERE credentials.step = step.seq;
END
$$;

-- What recovery, or an operator, makes of an unknown step; whether it was theirs to settle.
-- `taken_by` names the recovery that has taken the step; null is an operator, for a stuck one.

CREATE FUNCTION resolve(asked jsonb, answer_ bytea) RETURNS boolean
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    step record;
    became text := asked->>'state';
BEGIN
    SELECT steps.* INTO step FROM steps
    WHERE steps.step_id = asked->>'step_id' FOR NO KEY UPDATE;
    IF NOT FOUND OR step.state <> 'unknown' THEN
        RETURN false;
    ELSIF asked->>'taken_by' IS NULL THEN
        IF step.recovered <> 'stuck' THEN
            RETURN false;
        END IF;
    ELSIF step.recovered <> '' OR step.taken_by <> asked->>'taken_by' THEN
        RETURN false;
    END IF;
    UPDATE steps
    SET state = CASE became WHEN 'stuck' THEN 'unknown' WHEN 'aborted' THEN 'failed'
                            ELSE became END,
        recovered = CASE WHEN became IN ('stuck', 'aborted') THEN became ELSE '' END,
        detail = asked->>'detail', settled_at = (asked->>'at')::bigint,
        answer = CASE WHEN idempotency_key IS NOT NULL THEN coalesce(answer_, answer) END
    WHERE seq = step.seq;
    IF became <> 'stuck' THEN
        PERFORM settle_holds(step.holds, became = 'done', (asked->>'at')::bigint);
    END IF;
    RETURN true;
END
$$;

-- A further attempt of a step that recovery has taken: the checks of a reservation, then the
-- credential it will get. Its points are held already.

CREATE FUNCTION resume(asked jsonb) RETURNS text
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    step_ bigint;
    why text;
    lent jsonb := asked->'credential';
BEGIN
    PERFORM pg_advisory_xact_lock_shared(8740, 0);
    PERFORM queue_for_agent(asked->>'tenant', asked->>'agent');
    SELECT seq INTO step_ FROM steps
    WHERE step_id = asked->>'step_id' AND state = 'unknown' AND recovered = ''
          AND taken_by = asked->>'taken_by' FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN 'running';
    END IF;
    why := refused(asked);
    IF why IS NOT NULL THEN
        RETURN why;
    END IF;
    DELETE FROM credentials WHERE credentials.step = step_;
    IF lent <> 'null' THEN
        INSERT INTO credentials (step, lease_id, broker, audience, scope, expires_at)
        VALUES (step_, lent->>0, lent->>1, lent->>2, lent->>3, (lent->>4)::bigint);
    END IF;
    RETURN 'reserved';
END
$$;
