"""The reads before every decision: by index, few, and no dearer as the ledger grows."""

import sqlite3

import pytest

from proxy.stores.sqlite import sessions
from proxy.stores.sqlite import view as view_module
from proxy.stores.sqlite.view import view
from tests.harness.ledger import LIMITS, NOW, session

POINT_READS = {
    "view": (view_module._VIEW, 12),
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
    scans = {one for one in steps if one.startswith("SCAN")}
    assert scans <= {"SCAN CONSTANT ROW", "SCAN (subquery-9)", "SCAN (subquery-11)"}
    assert [one for one in steps if "TEMP B-TREE" in one] == []


@pytest.mark.parametrize("index", ["steps_of_session", "decisions_of_session"])
def test_what_grows_is_read_from_its_index_alone(
    connection: sqlite3.Connection, index: str
) -> None:
    """The rows themselves, which lie far apart, are not touched."""
    plan = connection.execute(f"EXPLAIN QUERY PLAN {view_module._VIEW}", ["0"] * 12).fetchall()
    assert any(f"COVERING INDEX {index}" in detail for *_, detail in plan)


def test_a_view_is_one_statement(connection: sqlite3.Connection) -> None:
    """So it is one snapshot, however much happened before."""
    said: list[str] = []
    connection.set_trace_callback(said.append)
    view(connection, session(), LIMITS, NOW)
    assert len(said) == 1
