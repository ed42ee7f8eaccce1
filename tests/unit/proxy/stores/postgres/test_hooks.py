"""Names of agents with hooks: found by their keys."""

import pytest

from proxy.stores.postgres import hooks
from tests.harness.plans import Plan, reads_all

STATEMENTS = {
    "named": (hooks._NAMED, 4),
    "idle": (hooks._END_IDLE, 4),
    "announce": (hooks._ANNOUNCE, 6),
    "carry": (hooks._CARRY, 3),
    "announced in": (hooks._ANNOUNCED_IN, 3),
    "carried": (hooks._CARRIED, 3),
}


@pytest.mark.parametrize(("sql", "parameters"), STATEMENTS.values(), ids=STATEMENTS)
async def test_a_statement_reads_no_whole_table(plan: Plan, sql: str, parameters: int) -> None:
    """Whatever the statistics say, and however the ledger grows."""
    assert reads_all(await plan(sql, parameters)) == []
