"""The look for an approval, and what is said of one: by an index."""

import pytest

from proxy.stores.postgres import approvals
from tests.harness.plans import Plan, reads_all

STATEMENTS = {
    "standing": (approvals._STANDING, 7),
    "one": (approvals._ONE, 1),
    "pending": (approvals._COUNT_PENDING, 3),
    "rule": (approvals._RULE, 5),
}


@pytest.mark.parametrize(("sql", "parameters"), STATEMENTS.values(), ids=STATEMENTS)
async def test_a_statement_reads_no_whole_table(plan: Plan, sql: str, parameters: int) -> None:
    """Whatever the statistics say, and however the ledger grows."""
    assert reads_all(await plan(sql, parameters)) == []
