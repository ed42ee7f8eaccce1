"""Sessions: each lookup by an index."""

import pytest

from proxy.stores.postgres import sessions
from tests.harness.plans import Plan, reads_all

STATEMENTS = {
    "by token": (sessions._ISSUED_FOR, 1),
    "by id": (sessions._BY_ID, 1),
    "implicit": (sessions._IMPLICIT, 3),
    "standing": (sessions._STANDING, 3),
    "open ones": (sessions._COUNT_OPEN, 2),
    "expired": (sessions._END_EXPIRED, 3),
    "end": (sessions._END, 2),
    "newest": (sessions._NEWEST, 1),
}


@pytest.mark.parametrize(("sql", "parameters"), STATEMENTS.values(), ids=STATEMENTS)
async def test_a_statement_reads_no_whole_table(plan: Plan, sql: str, parameters: int) -> None:
    """Whatever the statistics say, and however the ledger grows."""
    assert reads_all(await plan(sql, parameters)) == []
