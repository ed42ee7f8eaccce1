"""Steps and records: by an index, however long the ledger is."""

import pytest

from proxy.stores.postgres import ledger
from tests.harness.plans import Plan, reads_all

STATEMENTS = {
    "send": (ledger._SEND, 1),
    "to unknown": (ledger._TO_UNKNOWN, 3),
    "claimed by": (ledger._CLAIMED_BY, 4),
    "decisions": (ledger._DECISIONS, 1),
    "decisions of": (ledger._DECISIONS_OF, 2),
    "newest": (ledger._STEPS + ledger._BY_SEQ, 4),
}


@pytest.mark.parametrize(("sql", "parameters"), STATEMENTS.values(), ids=STATEMENTS)
async def test_a_statement_reads_no_whole_table(plan: Plan, sql: str, parameters: int) -> None:
    """Whatever the statistics say, and however the ledger grows."""
    assert reads_all(await plan(sql, parameters)) == []


def test_each_list_of_steps_goes_by_its_own_index() -> None:
    """Unsettled ones, those of a session, all."""
    assert "number DESC" in ledger._steps_sql("ses1", ("done",))
    assert "phase <> 'done'" in ledger._steps_sql("ses1", ("unknown", "intent"))
    assert ledger._steps_sql(None, ()) == ledger._STEPS + ledger._BY_SEQ
