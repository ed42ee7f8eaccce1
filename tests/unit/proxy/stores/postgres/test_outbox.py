"""Alerts that are due: by an index."""

import pytest

from proxy.stores.postgres import outbox
from tests.harness.plans import Plan, reads_all

STATEMENTS = {
    "take": (outbox._TAKE, 3),
    "delivered": (outbox._DELIVERED, 2),
    "failed": (outbox._FAILED, 2),
}


@pytest.mark.parametrize(("sql", "parameters"), STATEMENTS.values(), ids=STATEMENTS)
async def test_a_statement_reads_no_whole_table(plan: Plan, sql: str, parameters: int) -> None:
    """Whatever the statistics say, and however the ledger grows."""
    assert reads_all(await plan(sql, parameters)) == []
