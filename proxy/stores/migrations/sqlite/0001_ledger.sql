-- Version 1: the ledger.
-- Times are integers, microseconds since 1970-01-01 UTC. Scopes are text, `kind:id`.
-- Rows that only grow are keyed by a sequence, so that a write touches the last page.

PRAGMA application_id = 1146375764;  -- "DTNT"

-- Sessions, and what follows an agent through all of them.

CREATE TABLE sessions (
    id           TEXT PRIMARY KEY,
    tenant       TEXT NOT NULL,
    agent        TEXT NOT NULL,
    mode         TEXT NOT NULL,
    opened_at    INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL,
    risk_limit   INTEGER NOT NULL,
    implicit     INTEGER NOT NULL CHECK (implicit IN (0, 1)),
    purpose      TEXT NOT NULL,
    state        TEXT NOT NULL CHECK (state IN ('open', 'ended')),
    ended_at     INTEGER,
    token_sha256 TEXT UNIQUE
) STRICT;

CREATE INDEX sessions_open ON sessions (tenant, agent, implicit) WHERE state = 'open';
CREATE UNIQUE INDEX sessions_one_implicit ON sessions (tenant, agent)
    WHERE state = 'open' AND implicit = 1;
CREATE INDEX sessions_newest ON sessions (state, opened_at);

CREATE VIEW session_rows AS
SELECT id, tenant, agent, mode, opened_at, expires_at, risk_limit, implicit, purpose, state,
       token_sha256
FROM sessions;

CREATE TABLE agent_locks (
    tenant    TEXT NOT NULL,
    agent     TEXT NOT NULL,
    reason    TEXT NOT NULL,
    locked_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, agent)
) STRICT, WITHOUT ROWID;

CREATE TABLE agent_labels (
    tenant TEXT NOT NULL,
    agent  TEXT NOT NULL,
    label  TEXT NOT NULL,
    PRIMARY KEY (tenant, agent, label)
) STRICT, WITHOUT ROWID;

CREATE TABLE dry_run_toggles (
    scope TEXT PRIMARY KEY,
    actor TEXT NOT NULL,
    at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Intents before effects, outcomes after them.

CREATE TABLE steps (
    seq              INTEGER PRIMARY KEY,
    step_id          TEXT NOT NULL UNIQUE,
    session_id       TEXT NOT NULL REFERENCES sessions (id),
    number           INTEGER NOT NULL,
    tenant           TEXT NOT NULL,
    agent            TEXT NOT NULL,
    server           TEXT NOT NULL,
    tool             TEXT NOT NULL,
    effect           TEXT NOT NULL,
    recovery         TEXT NOT NULL,
    arguments_sha256 TEXT NOT NULL,
    epoch            INTEGER NOT NULL,
    at               INTEGER NOT NULL,
    state            TEXT NOT NULL,
    detail           TEXT NOT NULL DEFAULT '',
    settled_at       INTEGER,
    decision_id      TEXT NOT NULL,
    policy_revision  TEXT NOT NULL,
    risk             INTEGER NOT NULL,
    idempotency_key  TEXT,
    request_sha256   TEXT,
    holds            TEXT NOT NULL,  -- JSON: [account, risk, window_s] of each
    arguments        BLOB NOT NULL,
    answer           BLOB,
    CHECK ((idempotency_key IS NULL) = (request_sha256 IS NULL)),
    -- not IN: a list of three or more is built anew, as a table, for every row that is written
    CHECK (state = 'intent' OR state = 'sending' OR state = 'done' OR state = 'failed'
           OR state = 'unknown')
) STRICT;

-- The two indexes `of_session` carry all that a view reads, because a reader starts with an empty
-- page cache after every commit of the writer: ten rows are then one page and not thirty.

CREATE INDEX steps_of_session ON steps (session_id, number, step_id, state);
CREATE UNIQUE INDEX steps_claims ON steps (tenant, agent, session_id, idempotency_key)
    WHERE idempotency_key IS NOT NULL;
CREATE INDEX steps_unsettled ON steps (state) WHERE state <> 'done' AND state <> 'failed';

CREATE VIEW step_rows AS
SELECT seq, step_id, session_id, tenant, agent, server, tool, effect, recovery, arguments,
       arguments_sha256, epoch, at, number, state, detail, decision_id, policy_revision, risk
FROM steps;

CREATE TABLE decisions (
    seq              INTEGER PRIMARY KEY,
    decision_id      TEXT NOT NULL UNIQUE,
    at               INTEGER NOT NULL,
    step_id          TEXT NOT NULL,
    tenant           TEXT NOT NULL,
    agent            TEXT NOT NULL,
    session_id       TEXT NOT NULL,
    resource_id      TEXT NOT NULL,
    effect           TEXT NOT NULL,
    verdict          TEXT NOT NULL,
    reasons          TEXT NOT NULL,
    arguments_sha256 TEXT NOT NULL,
    policy_revision  TEXT NOT NULL,
    epoch            INTEGER NOT NULL,
    dry_run          INTEGER NOT NULL CHECK (dry_run IN (0, 1)),
    risk             INTEGER NOT NULL
) STRICT;

CREATE INDEX decisions_of_session
    ON decisions (session_id, seq, step_id, resource_id, verdict, dry_run);
CREATE INDEX decisions_of_tenant ON decisions (tenant);

CREATE VIEW decision_rows AS
SELECT seq, decision_id, at, step_id, tenant, agent, session_id, resource_id, effect, verdict,
       reasons, arguments_sha256, policy_revision, epoch, dry_run, risk
FROM decisions;

CREATE TABLE credentials (
    step       INTEGER PRIMARY KEY REFERENCES steps (seq),
    lease_id   TEXT NOT NULL,
    broker     TEXT NOT NULL,
    audience   TEXT NOT NULL,
    scope      TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    state      TEXT NOT NULL CHECK (state IN ('pending', 'ended'))
) STRICT;

-- Budgets, in points of risk. A fixed account counts `used` in its row, a rolling one in buckets.

CREATE TABLE accounts (
    account TEXT PRIMARY KEY,
    used    INTEGER NOT NULL DEFAULT 0 CHECK (used >= 0),
    held    INTEGER NOT NULL DEFAULT 0 CHECK (held >= 0)
) STRICT, WITHOUT ROWID;

CREATE TABLE account_buckets (
    account   TEXT NOT NULL REFERENCES accounts (account),
    bucket_at INTEGER NOT NULL,
    used      INTEGER NOT NULL CHECK (used >= 0),
    PRIMARY KEY (account, bucket_at)
) STRICT, WITHOUT ROWID;

-- Kills and lifts: the log, and the same log folded by scope. `active` counts kills in force,
-- `floor` is the last epoch that touched the scope.

CREATE TABLE kills (
    epoch    INTEGER PRIMARY KEY,
    order_id TEXT NOT NULL UNIQUE,
    action   TEXT NOT NULL CHECK (action IN ('kill', 'lift')),
    scopes   TEXT NOT NULL,
    actor    TEXT NOT NULL,
    reason   TEXT NOT NULL,
    at       INTEGER NOT NULL,
    lifts    INTEGER,
    lifted   INTEGER NOT NULL DEFAULT 0 CHECK (lifted IN (0, 1))
) STRICT;

CREATE TABLE kill_scopes (
    scope  TEXT PRIMARY KEY,
    floor  INTEGER NOT NULL,
    active INTEGER NOT NULL CHECK (active >= 0)
) STRICT, WITHOUT ROWID;

CREATE TABLE kill_verdicts (
    epoch   INTEGER NOT NULL,
    step_id TEXT NOT NULL,
    verdict TEXT NOT NULL,
    PRIMARY KEY (epoch, step_id)
) STRICT, WITHOUT ROWID;

-- Alerts until they are delivered.

CREATE TABLE alerts (
    seq          INTEGER PRIMARY KEY,
    alert_id     TEXT NOT NULL UNIQUE,
    at           INTEGER NOT NULL,
    kind         TEXT NOT NULL,
    severity     TEXT NOT NULL,
    message      TEXT NOT NULL,
    tenant       TEXT NOT NULL,
    agent        TEXT NOT NULL,
    session_id   TEXT NOT NULL,
    step_id      TEXT NOT NULL,
    tries        INTEGER NOT NULL DEFAULT 0,
    due_at       INTEGER NOT NULL DEFAULT 0,
    delivered_at INTEGER
) STRICT;

CREATE INDEX alerts_due ON alerts (due_at, seq) WHERE delivered_at IS NULL;

-- One row that a health check writes, because only a write shows that writes work.

CREATE TABLE pulse (
    id    INTEGER PRIMARY KEY CHECK (id = 1),
    beats INTEGER NOT NULL
) STRICT;

INSERT INTO pulse (id, beats) VALUES (1, 0);
