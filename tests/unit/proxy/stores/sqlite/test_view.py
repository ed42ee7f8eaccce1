"""The reads before every decision: by index, few, and no dearer as the ledger grows."""

import sqlite3

import pytest

from proxy.stores.sqlite import agents, budgets, sessions
from proxy.stores.sqlite import view as view_module
from proxy.stores.sqlite.view import view
from tests.harness.ledger import LIMITS, NOW, session

POINT_READS = {
    "last steps": (view_module._LAST_STEPS, 2),
    "last decisions": (view_module._LAST_DECISIONS, 2),
    "standing": (agents._STANDING, 7),
    "fixed": (budgets._FIXED, 1),
    "rolling": (budgets._ROLLING, 2),
    "by token": (sessions._ISSUED_FOR, 1),
    "by id": (sessions._BY_ID, 1),
    "implicit": (sessions._IMPLICIT, 3),
}


@pytest.mark.parametrize(("sql", "values"), POINT_READS.values(), ids=POINT_READS)
def test_every_point_read_uses_an_index(
    connection: sqlite3.Connection, sql: str, values: int
) -> None:
    """No scan of a table and no sort."""
    plan = connection.execute(f"EXPLAIN QUERY PLAN {sql}", ["0"] * values).fetchall()
    steps = [detail for *_, detail in plan]
    assert any("INDEX" in one or "PRIMARY KEY" in one for one in steps)
    assert [one for one in steps if one.startswith("SCAN") and one != "SCAN CONSTANT ROW"] == []
    assert [one for one in steps if "TEMP B-TREE" in one] == []


@pytest.mark.parametrize("sql", [view_module._LAST_STEPS, view_module._LAST_DECISIONS])
def test_what_grows_is_read_from_its_index_alone(connection: sqlite3.Connection, sql: str) -> None:
    """The rows themselves, which lie far apart, are not touched."""
    ((*_, detail),) = connection.execute(f"EXPLAIN QUERY PLAN {sql}", ("", 1)).fetchall()
    assert "COVERING INDEX" in detail


def test_a_view_is_five_statements_in_one_snapshot(connection: sqlite3.Connection) -> None:
    """However much happened before."""
    said: list[str] = []
    connection.set_trace_callback(said.append)
    view(connection, session(), LIMITS, NOW)
    assert (len(said), said[0], said[-1]) == (7, "BEGIN", "COMMIT")


def test_a_view_that_fails_leaves_no_transaction_open(connection: sqlite3.Connection) -> None:
    """The next read starts afresh."""
    connection.execute("DROP TABLE account_buckets")
    with pytest.raises(sqlite3.OperationalError):
        view(connection, session(), LIMITS, NOW)
    assert not connection.in_transaction
