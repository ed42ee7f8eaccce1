"""Lists by index, so that what is open is found at once in a large ledger."""

import sqlite3

import pytest

from proxy.stores.sqlite import ledger

ASKED = {"session": None, "states": "[]", "tenants": None, "limit": 1}
LISTS = {
    "open": (ledger._OPEN, {}, "steps_unsettled"),
    "to unknown": (ledger._TO_UNKNOWN, ("", 0), "steps_unsettled"),
    "unsettled": (ledger._STEPS_UNSETTLED, ASKED, "steps_unsettled"),
    "of a session": (ledger._STEPS_OF_SESSION, ASKED, "steps_of_session"),
    "of a tenant": (ledger._DECISIONS_OF, ("", 1), "decisions_of_tenant"),
}


@pytest.mark.parametrize(("sql", "values", "index"), LISTS.values(), ids=LISTS)
def test_a_list_uses_its_index(
    connection: sqlite3.Connection, sql: str, values: dict[str, object], index: str
) -> None:
    """The plan names it."""
    plan = connection.execute(f"EXPLAIN QUERY PLAN {sql}", values).fetchall()
    assert any(f"INDEX {index}" in detail for *_, detail in plan)
