"""Kills by epoch, verdicts by kill."""

import pytest

from proxy.stores.postgres import kill_log
from tests.harness.plans import Plan, reads_all

STATEMENTS = {
    "log": (kill_log._LOG, 0),
    "verdicts": (kill_log._VERDICTS, 1),
}


@pytest.mark.parametrize(("sql", "parameters"), STATEMENTS.values(), ids=STATEMENTS)
async def test_a_statement_reads_no_whole_table(plan: Plan, sql: str, parameters: int) -> None:
    """Whatever the statistics say, and however the ledger grows."""
    assert reads_all(await plan(sql, parameters)) == []
