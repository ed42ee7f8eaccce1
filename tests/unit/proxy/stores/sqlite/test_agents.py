"""Locks, labels and toggles on a bare connection."""

import sqlite3

import pytest

from proxy.model.kill import GLOBAL, Scope, ScopeKind, scopes_of
from proxy.model.session import BudgetView, SessionView
from proxy.stores.sqlite import agents
from proxy.stores.sqlite.view import view
from tests.harness.ledger import LIMITS, NOW, session

SCOPES = scopes_of("acme", "loop", "ses1")


def standing(connection: sqlite3.Connection) -> SessionView:
    """Return how the agent stands at NOW."""
    return view(connection, session(), LIMITS, NOW)


def test_an_agent_stands_free_at_first(connection: sqlite3.Connection) -> None:
    """Not locked, no labels, no dry run."""
    assert standing(connection) == SessionView(
        session(), 1, BudgetView(LIMITS.session_risk), BudgetView(LIMITS.agent_risk)
    )
    assert agents.lock_reason(connection, "acme", "loop") is None


def test_a_lock_holds_one_agent_of_one_tenant(connection: sqlite3.Connection) -> None:
    """The same name elsewhere is someone else."""
    agents.lock(connection, "acme", "loop", "canary", NOW)
    assert agents.lock_reason(connection, "acme", "loop") == "canary"
    assert agents.lock_reason(connection, "other", "loop") is None
    assert standing(connection).locked == "canary"
    assert not agents.unlock(connection, "other", "loop")
    assert agents.unlock(connection, "acme", "loop")


def test_labels_are_a_sorted_set(connection: sqlite3.Connection) -> None:
    """Of one agent."""
    agents.add_labels(connection, "acme", "loop", ("b", "a", "b"))
    agents.add_labels(connection, "acme", "other", ("c",))
    assert standing(connection).labels == ("a", "b")


@pytest.mark.parametrize("scope", SCOPES, ids=str)
def test_a_toggle_of_any_scope_covers(connection: sqlite3.Connection, scope: Scope) -> None:
    """On covers, off does not."""
    agents.set_dry_run(connection, scope, on=True, actor="oncall", at=NOW)
    assert standing(connection).dry_run
    agents.set_dry_run(connection, scope, on=False, actor="oncall", at=NOW)
    assert not standing(connection).dry_run


def test_toggles_are_listed(connection: sqlite3.Connection) -> None:
    """Each once."""
    for _ in range(2):
        agents.set_dry_run(connection, GLOBAL, on=True, actor="oncall", at=NOW)
    assert agents.dry_run_scopes(connection) == (GLOBAL,)


def test_a_tool_has_no_toggle(connection: sqlite3.Connection) -> None:
    """Nothing would honour it."""
    with pytest.raises(ValueError, match="Dry run"):
        agents.set_dry_run(connection, Scope(ScopeKind.TOOL, "a/b"), on=True, actor="x", at=NOW)
