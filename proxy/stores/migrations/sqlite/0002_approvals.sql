-- Version 2: approvals. `state` is what people made of it; that its time is over, or that a kill or
-- lift overtook it, is seen when it is read.

CREATE TABLE approvals (
    seq             INTEGER PRIMARY KEY,
    approval_id     TEXT NOT NULL UNIQUE,
    tenant          TEXT NOT NULL,
    agent           TEXT NOT NULL,
    resource_id     TEXT NOT NULL,
    request_sha256  TEXT NOT NULL,
    tool_pin        TEXT NOT NULL,
    policy_revision TEXT NOT NULL,
    session_id      TEXT NOT NULL,
    epoch           INTEGER NOT NULL,
    effect          TEXT NOT NULL,
    risk            INTEGER NOT NULL,
    reasons         TEXT NOT NULL,
    request         BLOB NOT NULL,
    asked_at        INTEGER NOT NULL,
    expires_at      INTEGER NOT NULL,
    state           TEXT NOT NULL DEFAULT 'pending'
        CHECK (state = 'pending' OR state = 'approved' OR state = 'denied' OR state = 'used'),
    decided_by      TEXT NOT NULL DEFAULT '',
    decided_at      INTEGER,
    note            TEXT NOT NULL DEFAULT '',
    used_by         TEXT,  -- the step it was used for
    scopes          TEXT NOT NULL,  -- JSON: the kill scopes the held call stood under
    CHECK ((state = 'used') = (used_by IS NOT NULL)),
    CHECK ((state = 'pending') = (decided_at IS NULL))
) STRICT;

-- Every call looks for its approvals: few agents have any, and what has expired is skipped.
CREATE INDEX approvals_unused ON approvals (tenant, agent, expires_at) WHERE state <> 'used';

-- `overtaken`: a kill or a lift of its scopes is newer than the question.
CREATE VIEW approval_rows AS
SELECT seq, approval_id, tenant, agent, resource_id, request_sha256, tool_pin, policy_revision,
       session_id, epoch, effect, risk, reasons, request, asked_at, expires_at, decided_by,
       decided_at, note, state,
       EXISTS (SELECT 1 FROM json_each(approvals.scopes) AS own
               CROSS JOIN kill_scopes ON kill_scopes.scope = own.value
               WHERE kill_scopes.floor > approvals.epoch) AS overtaken
FROM approvals;
