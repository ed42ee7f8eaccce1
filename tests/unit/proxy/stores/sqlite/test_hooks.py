"""Names and tool uses are point reads; what is old is found by its age."""

import sqlite3

import pytest

from proxy.stores.sqlite import hooks


def plan_of(connection: sqlite3.Connection, sql: str, *values: object) -> str:
    rows = connection.execute(f"EXPLAIN QUERY PLAN {sql}", values).fetchall()
    return " ".join(detail for *_, detail in rows)


@pytest.mark.parametrize(
    ("sql", "count"),
    [(hooks._NAMED, 4), (hooks._ANNOUNCED_IN, 3), (hooks._CARRIED, 3), (hooks._CARRY, 3)],
)
def test_a_name_is_found_by_its_key(connection: sqlite3.Connection, sql: str, count: int) -> None:
    """Every event of an agent asks for one."""
    plan = plan_of(connection, sql, *["x"] * count)
    assert "SCAN" not in plan
    assert "USING PRIMARY KEY (tenant=? AND agent=? AND" in plan


def test_old_tool_uses_are_found_by_their_age(connection: sqlite3.Connection) -> None:
    """There is mostly none, and looking costs one page."""
    assert "tool_uses_oldest (at<?)" in plan_of(connection, hooks._FORGET, 0)
