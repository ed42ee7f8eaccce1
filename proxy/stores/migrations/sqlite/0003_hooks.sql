-- Version 3: agents with hooks. They name their sessions and tool uses themselves.

CREATE TABLE hook_sessions (
    tenant         TEXT NOT NULL,
    agent          TEXT NOT NULL,
    client         TEXT NOT NULL,
    client_session TEXT NOT NULL,
    session_id     TEXT NOT NULL REFERENCES sessions (id),
    PRIMARY KEY (tenant, agent, client, client_session)
) STRICT, WITHOUT ROWID;

-- Tool uses that a hook announced and that come through the gateway as calls. `carried`: one did.

CREATE TABLE tool_uses (
    tenant      TEXT NOT NULL,
    agent       TEXT NOT NULL,
    tool_use_id TEXT NOT NULL,
    session_id  TEXT NOT NULL REFERENCES sessions (id),
    at          INTEGER NOT NULL,
    carried     INTEGER NOT NULL DEFAULT 0 CHECK (carried IN (0, 1)),
    PRIMARY KEY (tenant, agent, tool_use_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX tool_uses_oldest ON tool_uses (at);
