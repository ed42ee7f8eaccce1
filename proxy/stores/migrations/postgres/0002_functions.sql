-- compatible: 2
-- Version 2: the transactions of the ledger, each one statement for whoever calls it. So no lock is
-- ever held while a client has the word, and a replica that is frozen holds up nobody's kill.
--
-- The order of locks, the same everywhere:
--   1. (8740, 0)         kills: reservations share it, a kill or lift has it alone
--   2. (8742, agent)     an agent: its reservations, locks, sessions and questions queue here
--   3. rows of accounts, by name
-- All of them are released by the commit. These functions are VOLATILE and run under READ COMMITTED,
-- so each statement after a lock has a new snapshot: it sees what was committed before the lock was
-- granted. That is why a lock is a statement of its own and no condition of the one that reads.
--
-- A later migration adds a function under a new name and leaves these, which the Detent before it
-- still calls.

CREATE FUNCTION alive(instance integer) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT 1 FROM pg_locks
                   WHERE locktype = 'advisory' AND classid = 8741 AND objid = instance::oid
                         AND objsubid = 2 AND granted
                         AND database = (SELECT oid FROM pg_database
                                         WHERE datname = current_database()))
$$;

CREATE FUNCTION queue_for_agent(tenant text, agent text) RETURNS void
LANGUAGE sql VOLATILE AS $$
    SELECT pg_advisory_xact_lock(8742, hashtext(tenant || '/' || agent))
$$;

-- How a key that was used before is answered; null for a new one.

CREATE FUNCTION claimed(
    tenant_ text, agent_ text, session_ text, key_ text, sha256_ text,
    OUT status text, OUT number bigint, OUT answer bytea
)
LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN steps.request_sha256 <> sha256_ THEN 'mismatch'
                WHEN steps.state IN ('done', 'failed') THEN 'replay'
                WHEN steps.state = 'unknown' AND steps.answer IS NOT NULL THEN 'replay'
                ELSE 'running' END,
           steps.number,
           CASE WHEN steps.request_sha256 = sha256_
                     AND steps.state IN ('done', 'failed', 'unknown') THEN steps.answer END
    FROM steps
    WHERE steps.tenant = tenant_ AND steps.agent = agent_ AND steps.session_id = session_
          AND steps.idempotency_key = key_
$$;

-- Lock the accounts of these holds, making those nobody used; then say whether all have room.

CREATE FUNCTION have_room(holds jsonb) RETURNS boolean
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    names text[] := ARRAY(SELECT hold->>'account' FROM jsonb_array_elements(holds) AS hold
                          ORDER BY hold->>'account');
    found_rows bigint;
BEGIN
    PERFORM 1 FROM accounts WHERE accounts.account = ANY (names)
    ORDER BY accounts.account FOR NO KEY UPDATE;
    GET DIAGNOSTICS found_rows = ROW_COUNT;
    IF found_rows < cardinality(names) THEN
        INSERT INTO accounts (account) SELECT unnest(names) ON CONFLICT DO NOTHING;
        PERFORM 1 FROM accounts WHERE accounts.account = ANY (names)
        ORDER BY accounts.account FOR NO KEY UPDATE;
    END IF;
    RETURN NOT EXISTS (
        SELECT 1
        FROM jsonb_to_recordset(holds)
             AS hold (account text, risk bigint, "limit" bigint, horizon_us bigint)
        JOIN accounts USING (account)
        WHERE accounts.held + hold.risk + CASE
                  WHEN hold.horizon_us IS NULL THEN accounts.used
                  ELSE (SELECT coalesce(sum(account_buckets.used), 0) FROM account_buckets
                        WHERE account_buckets.account = hold.account
                              AND account_buckets.bucket_at > hold.horizon_us) END
              > hold."limit");
END
$$;

-- Use an approval up; whether it was good for this request now. Only its own agent may.

CREATE FUNCTION use_approval(asked jsonb) RETURNS boolean
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    UPDATE approvals SET state = 'used', used_by = asked->>'step_id'
    WHERE approvals.state = 'approved' AND approvals.seq = (
        SELECT approval_rows.seq FROM approval_rows
        WHERE approval_id = asked#>>'{approval,id}' AND state = 'approved'
              AND expires_at > (asked->>'at')::bigint
              AND tenant = asked->>'tenant' AND agent = asked->>'agent'
              AND resource_id = asked->>'resource_id'
              AND request_sha256 = asked#>>'{approval,request_sha256}'
              AND tool_pin = asked#>>'{approval,tool_pin}'
              AND policy_revision = asked#>>'{approval,policy_revision}'
              AND NOT overtaken);
    RETURN FOUND;
END
$$;

CREATE FUNCTION add_labels(tenant_ text, agent_ text, labels jsonb) RETURNS void
LANGUAGE sql VOLATILE AS $$
    INSERT INTO agent_labels (tenant, agent, label)
    SELECT tenant_, agent_, label FROM jsonb_array_elements_text(labels) AS given (label)
    ORDER BY label
    ON CONFLICT (tenant, agent, label) DO NOTHING
$$;

-- Return why nothing may be reserved, or null. Called with locks 1 and 2; takes those of accounts.

CREATE FUNCTION refused(asked jsonb) RETURNS text
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    is_open boolean;
    locked boolean;
    killed boolean;
BEGIN
    SELECT EXISTS (SELECT 1 FROM sessions
                   WHERE id = asked->>'session_id' AND tenant = asked->>'tenant'
                         AND agent = asked->>'agent' AND state = 'open'
                         AND expires_at > (asked->>'at')::bigint),
           EXISTS (SELECT 1 FROM agent_locks
                   WHERE tenant = asked->>'tenant' AND agent = asked->>'agent'),
           EXISTS (SELECT 1 FROM kill_scopes
                   WHERE scope = ANY (ARRAY(SELECT jsonb_array_elements_text(asked->'scopes')))
                         AND (active > 0 OR floor > (asked->>'epoch')::bigint))
    INTO is_open, locked, killed;
    IF NOT is_open THEN
        RETURN 'session_closed';
    ELSIF locked THEN
        RETURN 'locked';
    ELSIF killed THEN
        RETURN 'killed';
    ELSIF NOT (asked->>'sane')::boolean OR NOT have_room(asked->'holds') THEN
        RETURN 'budget_exhausted';
    ELSIF asked->'approval' <> 'null' AND NOT use_approval(asked) THEN
        RETURN 'approval_spent';
    END IF;
    RETURN NULL;
END
$$;

CREATE FUNCTION write_reservation(asked jsonb, arguments_ bytea, number_ bigint) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    step bigint;
    lent jsonb := asked->'credential';
BEGIN
    INSERT INTO steps (step_id, session_id, number, tenant, agent, server, tool, effect, recovery,
                       arguments_sha256, epoch, at, decision_id, policy_revision, risk,
                       idempotency_key, request_sha256, holds, arguments, instance)
    VALUES (asked->>'step_id', asked->>'session_id', number_, asked->>'tenant', asked->>'agent',
            asked->>'server', asked->>'tool', asked->>'effect', asked->>'recovery',
            asked->>'arguments_sha256', (asked->>'epoch')::bigint, (asked->>'at')::bigint,
            asked->'decision'->>0, asked->'decision'->>11, (asked->'decision'->>14)::bigint,
            asked#>>'{claim,key}', asked#>>'{claim,request_sha256}', asked->'held', arguments_,
            (asked->>'instance')::integer)
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

-- An audit record, its values in the order of `decision_rows`. `is_new`: one that is there is an
-- error; otherwise it stays as it is.

CREATE FUNCTION record_decision(given jsonb, is_new boolean) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    INSERT INTO decisions (decision_id, at, step_id, tenant, agent, session_id, resource_id, effect,
                           verdict, reasons, arguments_sha256, policy_revision, epoch, dry_run,
                           risk)
    VALUES (given->>0, (given->>1)::bigint, given->>2, given->>3, given->>4, given->>5, given->>6,
            given->>7, given->>8, given->>9, given->>10, given->>11, (given->>12)::bigint,
            (given->>13)::boolean, (given->>14)::bigint)
    ON CONFLICT (decision_id) DO NOTHING;
    IF is_new AND NOT FOUND THEN
        RAISE unique_violation USING MESSAGE = 'the decision was recorded before';
    END IF;
END
$$;

-- One reservation: everything of it, or nothing. The port tells the order of checks.

CREATE FUNCTION reserve(
    asked jsonb, arguments_ bytea, OUT status text, OUT number bigint, OUT answer bytea
)
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    session_ text := asked->>'session_id';
BEGIN
    PERFORM pg_advisory_xact_lock_shared(8740, 0);
    PERFORM queue_for_agent(asked->>'tenant', asked->>'agent');
    IF asked->'claim' <> 'null' THEN
        SELECT * FROM claimed(asked->>'tenant', asked->>'agent', session_, asked#>>'{claim,key}',
                              asked#>>'{claim,request_sha256}')
        INTO status, number, answer;
        IF status IS NOT NULL THEN
            RETURN;
        END IF;
    END IF;
    status := refused(asked);
    IF status IS NOT NULL THEN
        number := 0;
        RETURN;
    END IF;
    IF asked->>'continues' <> '' THEN
        SELECT CASE WHEN steps.session_id = session_ THEN steps.number END INTO number
        FROM steps WHERE steps.step_id = asked->>'continues';
    END IF;
    IF number IS NULL THEN
        SELECT coalesce(max(steps.number), 0) + 1 INTO number
        FROM steps WHERE steps.session_id = session_;
    END IF;
    PERFORM write_reservation(asked, arguments_, number);
    status := 'reserved';
END
$$;

-- Many in one transaction, with one commit; the caller sorts them by tenant and agent.

CREATE FUNCTION reserve_all(
    asked jsonb[], arguments_ bytea[]
) RETURNS TABLE (status text, number bigint, answer bytea)
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    FOR n IN 1 .. cardinality(asked) LOOP
        SELECT one.status, one.number, one.answer FROM reserve(asked[n], arguments_[n]) AS one
        INTO status, number, answer;
        RETURN NEXT;
    END LOOP;
END
$$;

-- Move the points of a step, `[account, risk, window_s]` each: used when it is done, given back
-- when it failed.

CREATE FUNCTION settle_holds(holds jsonb, spent boolean, at_us bigint) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    hold record;
    width_us bigint;
BEGIN
    FOR hold IN
        SELECT one->>0 AS account, (one->>1)::bigint AS risk, (one->>2)::bigint AS window_s
        FROM jsonb_array_elements(holds) AS given (one) ORDER BY one->>0
    LOOP
        UPDATE accounts
        SET held = accounts.held - hold.risk,
            used = accounts.used
                   + CASE WHEN spent AND hold.window_s IS NULL THEN hold.risk ELSE 0 END
        WHERE accounts.account = hold.account;
        IF NOT spent OR hold.window_s IS NULL THEN
            CONTINUE;
        END IF;
        width_us := hold.window_s * 1000000 / 60;
        UPDATE account_buckets SET used = account_buckets.used + hold.risk
        WHERE account_buckets.account = hold.account
              AND account_buckets.bucket_at = at_us - at_us % width_us;
        IF NOT FOUND THEN
            INSERT INTO account_buckets (account, bucket_at, used)
            VALUES (hold.account, at_us - at_us % width_us, hold.risk);
            DELETE FROM account_buckets
            WHERE account_buckets.account = hold.account
                  AND account_buckets.bucket_at <= at_us - hold.window_s * 1000000 - width_us;
        END IF;
    END LOOP;
END
$$;

CREATE FUNCTION settle(asked jsonb, answer_ bytea) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    step record;
    became text := asked->>'state';
    spent boolean := (asked->>'spent')::boolean;
BEGIN
    SELECT steps.state, steps.seq, steps.tenant, steps.agent, steps.holds INTO step
    FROM steps WHERE steps.step_id = asked->>'step_id' FOR NO KEY UPDATE;
    IF NOT FOUND OR step.state IN ('done', 'failed') OR (step.state = became AND NOT spent) THEN
        RETURN;
    END IF;
    UPDATE steps
    SET state = became, detail = asked->>'detail', settled_at = (asked->>'at')::bigint,
        answer = CASE WHEN idempotency_key IS NOT NULL THEN coalesce(answer_, answer) END,
        holds = CASE WHEN spent THEN '[]' ELSE holds END
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

CREATE FUNCTION settle_all(asked jsonb[], answers bytea[]) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    one record;
BEGIN
    FOR one IN
        SELECT given.asked, given.answer
        FROM unnest(asked, answers) WITH ORDINALITY AS given (asked, answer, n)
        LEFT JOIN steps ON steps.step_id = given.asked->>'step_id'
        ORDER BY steps.tenant, steps.agent, steps.seq, given.n
    LOOP
        PERFORM settle(one.asked, one.answer);
    END LOOP;
END
$$;

-- A kill or a lift under the next epoch; the same order again is the same entry. Listeners are told
-- the epoch when it is committed.

CREATE FUNCTION append_kill(asked jsonb) RETURNS SETOF kills
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    entry kills;
    taken text;
BEGIN
    PERFORM pg_advisory_xact_lock(8740, 0);
    SELECT * INTO entry FROM kills WHERE kills.order_id = asked->>0;
    IF FOUND THEN
        RETURN NEXT entry;
        RETURN;
    END IF;
    INSERT INTO kills (epoch, order_id, action, scopes, actor, reason, at, lifts)
    VALUES ((SELECT coalesce(max(kills.epoch), 0) + 1 FROM kills), asked->>0, asked->>1, asked->>2,
            asked->>3, asked->>4, (asked->>5)::bigint, (asked->>6)::bigint)
    RETURNING * INTO entry;
    IF entry.action = 'lift' THEN
        UPDATE kills SET lifted = true
        WHERE kills.epoch = entry.lifts AND kills.action = 'kill' AND NOT kills.lifted
        RETURNING kills.scopes INTO taken;
        IF FOUND THEN
            UPDATE kill_scopes SET active = kill_scopes.active - 1
            WHERE kill_scopes.scope = ANY (ARRAY(SELECT jsonb_array_elements_text(taken::jsonb)));
        END IF;
    END IF;
    INSERT INTO kill_scopes (scope, floor, active)
    SELECT DISTINCT scope, entry.epoch, (entry.action = 'kill')::integer
    FROM jsonb_array_elements_text(entry.scopes::jsonb) AS given (scope)
    ON CONFLICT (scope) DO UPDATE
    SET floor = excluded.floor, active = kill_scopes.active + excluded.active;
    PERFORM pg_notify('detent_kills', entry.epoch::text);
    RETURN NEXT entry;
END
$$;

-- Note that a holder lives and what it obeys. What a kill lease rests on: a write, and what the next
-- statement reads of the log. A standby, and a primary whose commits nobody confirms, cannot answer.

CREATE FUNCTION renew(holder_ text, acked_ bigint, known bigint)
RETURNS TABLE (authority_at double precision, entry kills)
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    INSERT INTO kill_holders (holder, acked) VALUES (holder_, acked_)
    ON CONFLICT (holder) DO UPDATE
    SET acked = greatest(kill_holders.acked, excluded.acked), seen_at = excluded.seen_at;
    authority_at := extract(epoch FROM clock_timestamp());
    RETURN NEXT;
    FOR entry IN SELECT * FROM kills WHERE kills.epoch > known ORDER BY kills.epoch LOOP
        RETURN NEXT;
    END LOOP;
END
$$;
