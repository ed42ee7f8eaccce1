"""The read before every decision: one statement, each part by an index."""

import pytest

from proxy.stores.postgres import view
from tests.harness.plans import Plan, reads_all

STATEMENTS = {
    "view": (view._VIEW, 8),
}


@pytest.mark.parametrize(("sql", "parameters"), STATEMENTS.values(), ids=STATEMENTS)
async def test_a_statement_reads_no_whole_table(plan: Plan, sql: str, parameters: int) -> None:
    """Whatever the statistics say, and however the ledger grows."""
    assert reads_all(await plan(sql, parameters)) == []
