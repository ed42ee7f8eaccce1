"""What follows an agent: found by its key."""

import pytest

from proxy.model.kill import Scope, ScopeKind
from proxy.stores.postgres import PostgresStore, agents
from tests.harness.ledger import NOW
from tests.harness.plans import Plan, reads_all

STATEMENTS = {
    "lock reason": (agents.LOCK_REASON, 2),
    "lock": (agents._LOCK, 4),
    "unlock": (agents._UNLOCK, 2),
    "toggle off": (agents._TOGGLE_OFF, 1),
}


@pytest.mark.parametrize(("sql", "parameters"), STATEMENTS.values(), ids=STATEMENTS)
async def test_a_statement_reads_no_whole_table(plan: Plan, sql: str, parameters: int) -> None:
    """Whatever the statistics say, and however the ledger grows."""
    assert reads_all(await plan(sql, parameters)) == []


async def test_a_tool_has_no_dry_run_toggle(store: PostgresStore) -> None:
    """Its manifest says what it does."""
    with pytest.raises(ValueError, match="toggled"):
        await store.set_dry_run(Scope(ScopeKind.TOOL, "a/b"), on=True, actor="x", at=NOW)
