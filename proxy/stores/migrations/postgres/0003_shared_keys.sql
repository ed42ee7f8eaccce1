-- compatible: 2
-- Version 3: random keys that all replicas have. What one of them seals for a client to carry, any
-- other can open.

CREATE TABLE shared_keys (
    name    text PRIMARY KEY,
    key     bytea NOT NULL CHECK (octet_length(key) = 32),
    made_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
