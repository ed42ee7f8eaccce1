"""What follows an agent through all its sessions: locks, labels, dry-run toggles."""

import sqlite3
from collections.abc import Iterable
from datetime import datetime

from proxy.model.kill import Scope, ScopeKind
from proxy.stores.rows import micros, scope_key, scope_of

_LOCK_REASON = "SELECT reason FROM agent_locks WHERE tenant = ? AND agent = ?"
_LOCK = """
INSERT INTO agent_locks (tenant, agent, reason, locked_at) VALUES (?, ?, ?, ?)
ON CONFLICT (tenant, agent) DO NOTHING
"""
_UNLOCK = "DELETE FROM agent_locks WHERE tenant = ? AND agent = ?"
_ADD_LABEL = """
INSERT INTO agent_labels (tenant, agent, label) VALUES (?, ?, ?)
ON CONFLICT (tenant, agent, label) DO NOTHING
"""
_TOGGLE_ON = """
INSERT INTO dry_run_toggles (scope, actor, at) VALUES (?, ?, ?)
ON CONFLICT (scope) DO UPDATE SET actor = excluded.actor, at = excluded.at
"""
_TOGGLE_OFF = "DELETE FROM dry_run_toggles WHERE scope = ?"
_TOGGLES = "SELECT scope FROM dry_run_toggles ORDER BY scope"


def lock_reason(connection: sqlite3.Connection, tenant: str, agent: str) -> str | None:
    """Return why an agent is locked, or None."""
    rows = connection.execute(_LOCK_REASON, (tenant, agent)).fetchall()
    return rows[0][0] if rows else None


def lock(
    connection: sqlite3.Connection, tenant: str, agent: str, reason: str, at: datetime
) -> None:
    """Lock an agent; the first reason stands."""
    connection.execute(_LOCK, (tenant, agent, reason, micros(at)))


def unlock(connection: sqlite3.Connection, tenant: str, agent: str) -> bool:
    """Unlock an agent; return whether it was locked."""
    return connection.execute(_UNLOCK, (tenant, agent)).rowcount > 0


def add_labels(
    connection: sqlite3.Connection, tenant: str, agent: str, labels: Iterable[str]
) -> None:
    """Add labels; those the agent has stay."""
    for label in labels:
        connection.execute(_ADD_LABEL, (tenant, agent, label))


def set_dry_run(
    connection: sqlite3.Connection, scope: Scope, on: bool, actor: str, at: datetime
) -> None:
    """Turn a toggle on or off. Raises ValueError for a tool: its manifest says what it does."""
    if scope.kind is ScopeKind.TOOL:
        raise ValueError("Dry run is toggled for global, a tenant, an agent or a session.")
    if on:
        connection.execute(_TOGGLE_ON, (scope_key(scope), actor, micros(at)))
    else:
        connection.execute(_TOGGLE_OFF, (scope_key(scope),))


def dry_run_scopes(connection: sqlite3.Connection) -> tuple[Scope, ...]:
    """Return the scopes whose toggle is on."""
    return tuple(scope_of(key) for (key,) in connection.execute(_TOGGLES).fetchall())
