"""Keys by name."""

import asyncio

import pytest

from proxy.stores.postgres import Address, PostgresStore, shared_keys
from tests.harness.plans import Plan, reads_all

STATEMENTS = {"key": (shared_keys._KEY, 1)}


@pytest.mark.parametrize(("sql", "parameters"), STATEMENTS.values(), ids=STATEMENTS)
async def test_a_statement_reads_no_whole_table(plan: Plan, sql: str, parameters: int) -> None:
    """Whatever the statistics say."""
    assert reads_all(await plan(sql, parameters)) == []


async def test_replicas_that_ask_at_once_get_the_same_key(
    store: PostgresStore, address: Address
) -> None:
    """Whoever made it; it outlives them."""
    other = PostgresStore(address)
    await other.open()
    asked = [one.shared_key("seal") for one in (store, other, store, other)]
    keys = set(await asyncio.gather(*asked))
    assert len(keys) == 1
    assert keys != {await other.shared_key("another")}
    await other.close()
