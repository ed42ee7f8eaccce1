"""The reads before every decision: by index, few, and no dearer as the ledger grows."""

import sqlite3

import pytest

from proxy.stores.sqlite import agents, budgets, sessions
from proxy.stores.sqlite import view as view_module
from proxy.stores.sqlite.view import view
from tests.harness.ledger import LIMITS, NOW, session

POINT_READS = {
    "next number": view_module._NEXT_NUMBER,
    "recent": view_module._RECENT,
    "standing": agents._STANDING,
    "fixed": budgets._FIXED,
    "rolling": budgets._ROLLING,
    "by token": sessions._ISSUED_FOR,
    "by id": sessions._BY_ID,
    "implicit": sessions._IMPLICIT,
}


@pytest.mark.parametrize("sql", POINT_READS.values(), ids=POINT_READS)
def test_every_point_read_uses_an_index(connection: sqlite3.Connection, sql: str) -> None:
    """No scan of a table and no sort."""
    values = (
        dict.fromkeys(("tenant", "agent", "scopes"), "[]") if ":" in sql else ["0"] * sql.count("?")
    )
    plan = connection.execute(f"EXPLAIN QUERY PLAN {sql}", values).fetchall()
    steps = [detail for *_, detail in plan]
    assert steps
    scans = [one for one in steps if one.startswith("SCAN") and "json_each" not in one]
    assert [one for one in scans if "CONSTANT ROW" not in one] == []
    assert [one for one in steps if "TEMP B-TREE" in one] == []


def test_a_view_is_five_statements(connection: sqlite3.Connection) -> None:
    """However much happened before."""
    said: list[str] = []
    connection.set_trace_callback(said.append)
    view(connection, session(), LIMITS, NOW)
    assert len(said) == 5
