"""The look for an approval that comes before every decision: one row by its index."""

import sqlite3

import pytest

from proxy.stores.approval_rows import approval_values
from proxy.stores.sqlite import approvals
from tests.harness.approving import BINDING, question
from tests.harness.ledger import NOW

STANDING = approvals._asked(BINDING, NOW)
READS = {
    "standing": (approvals._STANDING, STANDING, "approvals_unused"),
    "one": (approvals._ONE, {"id": "apr1"}, "sqlite_autoindex_approvals_1"),
    "rule": (
        approvals._RULE,
        STANDING | {"id": "", "state": "", "by": "", "note": ""},
        "autoindex",
    ),
    "use": (approvals._USE, STANDING | {"id": "", "step": ""}, "autoindex"),
    "pending": (approvals._COUNT_PENDING, ("", "", 0), "approvals_unused"),
}


@pytest.mark.parametrize(("sql", "values", "index"), READS.values(), ids=READS)
def test_a_row_is_found_by_its_index(
    connection: sqlite3.Connection, sql: str, values: dict[str, object], index: str
) -> None:
    """No scan of the table: used and expired rows stay."""
    plan = connection.execute(f"EXPLAIN QUERY PLAN {sql}", values).fetchall()
    details = [detail for *_, detail in plan]
    assert any(index in detail for detail in details)
    assert not any(detail.startswith("SCAN approvals") for detail in details)


def test_a_state_that_nobody_knows_is_not_stored(connection: sqlite3.Connection) -> None:
    """The table itself refuses it, and a use without its step."""
    connection.execute(approvals._INSERT, approval_values(question()))
    for change in ("state = 'void'", "state = 'used'", "state = 'approved'"):
        with pytest.raises(sqlite3.IntegrityError):
            connection.execute(f"UPDATE approvals SET {change}")  # noqa: S608 - of this test
