-- compatible: 1
-- Version 1: the ledger, in the schema `detent`; the same tables as on SQLite.
-- Times are integers, microseconds since 1970-01-01 UTC. Scopes are text, `kind:id`.
-- `compatible` above: the oldest schema a Detent may have been written for to work with this one.

-- Replicas. One is alive while it holds the advisory lock (8741, id); see `alive`.

CREATE TABLE instances (
    id        integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    opened_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    seen_at   timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 50);

-- Sessions, and what follows an agent through all of them.

CREATE TABLE sessions (
    id           text PRIMARY KEY,
    tenant       text NOT NULL,
    agent        text NOT NULL,
    mode         text NOT NULL,
    opened_at    bigint NOT NULL,
    expires_at   bigint NOT NULL,
    risk_limit   bigint NOT NULL,
    implicit     boolean NOT NULL,
    purpose      text NOT NULL,
    state        text NOT NULL CHECK (state IN ('open', 'ended')),
    ended_at     bigint,
    token_sha256 text UNIQUE
);

CREATE INDEX sessions_open ON sessions (tenant, agent, implicit) WHERE state = 'open';
CREATE UNIQUE INDEX sessions_one_implicit ON sessions (tenant, agent)
    WHERE state = 'open' AND implicit;
CREATE INDEX sessions_newest ON sessions (state, opened_at);

CREATE VIEW session_rows AS
SELECT id, tenant, agent, mode, opened_at, expires_at, risk_limit, implicit, purpose, state,
       token_sha256
FROM sessions;

CREATE TABLE agent_locks (
    tenant    text NOT NULL,
    agent     text NOT NULL,
    reason    text NOT NULL,
    locked_at bigint NOT NULL,
    PRIMARY KEY (tenant, agent)
);

CREATE TABLE agent_labels (
    tenant text NOT NULL,
    agent  text NOT NULL,
    label  text NOT NULL,
    PRIMARY KEY (tenant, agent, label)
);

CREATE TABLE dry_run_toggles (
    scope text PRIMARY KEY,
    actor text NOT NULL,
    at    bigint NOT NULL
);

-- Intents before effects, outcomes after them. `instance` is the replica that reserved. No foreign
-- key to sessions: `reserve` itself looks for the session in the same transaction.

CREATE TABLE steps (
    seq              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    step_id          text NOT NULL UNIQUE,
    session_id       text NOT NULL,
    number           bigint NOT NULL,
    tenant           text NOT NULL,
    agent            text NOT NULL,
    server           text NOT NULL,
    tool             text NOT NULL,
    effect           text NOT NULL,
    recovery         text NOT NULL,
    arguments_sha256 text NOT NULL,
    epoch            bigint NOT NULL,
    at               bigint NOT NULL,
    state            text NOT NULL DEFAULT 'intent'
        CHECK (state IN ('intent', 'sending', 'done', 'failed', 'unknown')),
    detail           text NOT NULL DEFAULT '',
    settled_at       bigint,
    decision_id      text NOT NULL,
    policy_revision  text NOT NULL,
    risk             bigint NOT NULL,
    idempotency_key  text,
    request_sha256   text,
    holds            jsonb NOT NULL,  -- [account, risk, window_s] of each
    arguments        bytea NOT NULL,
    answer           bytea,
    instance         integer NOT NULL,
    CHECK ((idempotency_key IS NULL) = (request_sha256 IS NULL))
) WITH (fillfactor = 85);

CREATE INDEX steps_of_session ON steps (session_id, number);
CREATE UNIQUE INDEX steps_claims ON steps (tenant, agent, session_id, idempotency_key)
    WHERE idempotency_key IS NOT NULL;
CREATE INDEX steps_unsettled ON steps (seq) WHERE state <> 'done' AND state <> 'failed';

CREATE VIEW step_rows AS
SELECT seq, step_id, session_id, tenant, agent, server, tool, effect, recovery, arguments,
       arguments_sha256, epoch, at, number, state, detail, decision_id, policy_revision, risk
FROM steps;

CREATE TABLE decisions (
    seq              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    decision_id      text NOT NULL UNIQUE,
    at               bigint NOT NULL,
    step_id          text NOT NULL,
    tenant           text NOT NULL,
    agent            text NOT NULL,
    session_id       text NOT NULL,
    resource_id      text NOT NULL,
    effect           text NOT NULL,
    verdict          text NOT NULL,
    reasons          text NOT NULL,
    arguments_sha256 text NOT NULL,
    policy_revision  text NOT NULL,
    epoch            bigint NOT NULL,
    dry_run          boolean NOT NULL,
    risk             bigint NOT NULL
);

CREATE INDEX decisions_of_session ON decisions (session_id, seq);
CREATE INDEX decisions_of_tenant ON decisions (tenant, seq);

CREATE VIEW decision_rows AS
SELECT seq, decision_id, at, step_id, tenant, agent, session_id, resource_id, effect, verdict,
       reasons, arguments_sha256, policy_revision, epoch, dry_run, risk
FROM decisions;

CREATE TABLE credentials (
    step       bigint PRIMARY KEY,
    lease_id   text NOT NULL,
    broker     text NOT NULL,
    audience   text NOT NULL,
    scope      text NOT NULL,
    expires_at bigint NOT NULL,
    state      text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'ended'))
);

-- Budgets, in points of risk. A fixed account counts `used` in its row, a rolling one in buckets.
-- The row of an account is what its reservations and settlements queue for.

CREATE TABLE accounts (
    account text PRIMARY KEY,
    used    bigint NOT NULL DEFAULT 0 CHECK (used >= 0),
    held    bigint NOT NULL DEFAULT 0 CHECK (held >= 0)
) WITH (fillfactor = 50);

CREATE TABLE account_buckets (
    account   text NOT NULL,
    bucket_at bigint NOT NULL,
    used      bigint NOT NULL CHECK (used >= 0),
    PRIMARY KEY (account, bucket_at)
) WITH (fillfactor = 50);

-- Kills and lifts: the log, and the same log folded by scope. `active` counts kills in force,
-- `floor` is the last epoch that touched the scope.

CREATE TABLE kills (
    epoch    bigint PRIMARY KEY,
    order_id text NOT NULL UNIQUE,
    action   text NOT NULL CHECK (action IN ('kill', 'lift')),
    scopes   text NOT NULL,
    actor    text NOT NULL,
    reason   text NOT NULL,
    at       bigint NOT NULL,
    lifts    bigint,
    lifted   boolean NOT NULL DEFAULT false
);

CREATE TABLE kill_scopes (
    scope  text PRIMARY KEY,
    floor  bigint NOT NULL,
    active bigint NOT NULL CHECK (active >= 0)
);

-- Who may start calls, by the epoch each obeys.

CREATE TABLE kill_holders (
    holder  text PRIMARY KEY,
    acked   bigint NOT NULL,
    seen_at timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 50);

CREATE TABLE kill_verdicts (
    epoch   bigint NOT NULL,
    step_id text NOT NULL,
    verdict text NOT NULL,
    PRIMARY KEY (epoch, step_id)
);

-- Approvals. `state` is what people made of it; that its time is over, or that a kill or lift
-- overtook it, is seen when it is read.

CREATE TABLE approvals (
    seq             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    approval_id     text NOT NULL UNIQUE,
    tenant          text NOT NULL,
    agent           text NOT NULL,
    resource_id     text NOT NULL,
    request_sha256  text NOT NULL,
    tool_pin        text NOT NULL,
    policy_revision text NOT NULL,
    session_id      text NOT NULL,
    epoch           bigint NOT NULL,
    effect          text NOT NULL,
    risk            bigint NOT NULL,
    reasons         text NOT NULL,
    request         bytea NOT NULL,
    asked_at        bigint NOT NULL,
    expires_at      bigint NOT NULL,
    state           text NOT NULL DEFAULT 'pending'
        CHECK (state IN ('pending', 'approved', 'denied', 'used')),
    decided_by      text NOT NULL DEFAULT '',
    decided_at      bigint,
    note            text NOT NULL DEFAULT '',
    used_by         text,  -- the step it was used for
    scopes          jsonb NOT NULL,  -- the kill scopes the held call stood under
    CHECK ((state = 'used') = (used_by IS NOT NULL)),
    CHECK ((state = 'pending') = (decided_at IS NULL))
);

-- Every call looks for its approvals: few agents have any, and what has expired is skipped.
CREATE INDEX approvals_unused ON approvals (tenant, agent, expires_at) WHERE state <> 'used';

CREATE VIEW approval_rows AS
SELECT seq, approval_id, tenant, agent, resource_id, request_sha256, tool_pin, policy_revision,
       session_id, epoch, effect, risk, reasons, request, asked_at, expires_at, decided_by,
       decided_at, note, state,
       EXISTS (SELECT 1 FROM jsonb_array_elements_text(approvals.scopes) AS own (scope)
               JOIN kill_scopes USING (scope)
               WHERE kill_scopes.floor > approvals.epoch) AS overtaken
FROM approvals;

-- Agents with hooks. They name their sessions and tool uses themselves.

CREATE TABLE hook_sessions (
    tenant         text NOT NULL,
    agent          text NOT NULL,
    client         text NOT NULL,
    client_session text NOT NULL,
    session_id     text NOT NULL REFERENCES sessions (id),
    PRIMARY KEY (tenant, agent, client, client_session)
);

-- Tool uses that a hook announced and that come through the gateway as calls. `carried`: one did.

CREATE TABLE tool_uses (
    tenant      text NOT NULL,
    agent       text NOT NULL,
    tool_use_id text NOT NULL,
    session_id  text NOT NULL REFERENCES sessions (id),
    at          bigint NOT NULL,
    carried     boolean NOT NULL DEFAULT false,
    PRIMARY KEY (tenant, agent, tool_use_id)
);

CREATE INDEX tool_uses_oldest ON tool_uses (at);

-- Alerts until they are delivered. A replica that takes one has it to itself until `taken_until`.

CREATE TABLE alerts (
    seq          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    alert_id     text NOT NULL UNIQUE,
    at           bigint NOT NULL,
    kind         text NOT NULL,
    severity     text NOT NULL,
    message      text NOT NULL,
    tenant       text NOT NULL,
    agent        text NOT NULL,
    session_id   text NOT NULL,
    step_id      text NOT NULL,
    tries        integer NOT NULL DEFAULT 0,
    due_at       bigint NOT NULL DEFAULT 0,
    delivered_at bigint,
    taken_by     integer,
    taken_until  timestamptz
);

CREATE INDEX alerts_due ON alerts (due_at, seq) WHERE delivered_at IS NULL;
