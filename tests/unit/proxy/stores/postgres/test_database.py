"""Statements and transactions, and what becomes of what fails."""

import asyncio

import asyncpg
import pytest

from proxy.errors import StoreUnavailable
from proxy.stores.postgres import database as module
from proxy.stores.postgres.address import Address
from proxy.stores.postgres.connections import Connection
from proxy.stores.postgres.database import Database, RolledBack
from proxy.stores.postgres.store import PostgresStore

ADD = "INSERT INTO agent_labels (tenant, agent, label) VALUES ($1, $2, $3)"
COUNT = "SELECT count(*) FROM agent_labels"


@pytest.fixture
def database(store: PostgresStore) -> Database:
    """An open database."""
    return store._database


async def count(database: Database) -> int:
    """Count what ADD added."""
    ((found,),) = await database.fetch(COUNT)
    return int(found)


async def test_a_transaction_is_whole(database: Database) -> None:
    """All of it, or nothing when it raises, whatever it raises."""

    async def add_two(connection: Connection) -> None:
        await connection.fetch(ADD, "a", "b", "one")
        await connection.fetch(ADD, "a", "b", "two")

    async def add_and_fail(connection: Connection) -> None:
        await connection.fetch(ADD, "a", "b", "three")
        raise LookupError("no")

    await database.transaction(add_two)
    with pytest.raises(LookupError):
        await database.transaction(add_and_fail)
    with pytest.raises(RolledBack):
        await database.transaction(add_two)
    assert await count(database) == 2


async def test_a_write_goes_on_when_its_caller_is_gone(database: Database) -> None:
    """Cancelled in the middle; the close waits for it."""
    writing = asyncio.create_task(
        database.write(f"WITH slept AS MATERIALIZED (SELECT pg_sleep(0.1)) {ADD}", "a", "b", "c")
    )
    await asyncio.sleep(0.05)
    writing.cancel()
    await asyncio.gather(*database._under_way, return_exceptions=True)
    assert await count(database) == 1


@pytest.mark.parametrize("pool", ["_pool", "_kills"])
async def test_a_slow_statement_is_refused_in_time(
    database: Database, monkeypatch: pytest.MonkeyPatch, pool: str
) -> None:
    """By us when the server does not."""
    for name in ("DEADLINE_S", "KILL_DEADLINE_S"):
        monkeypatch.setattr(module, name, 0.1)
    ask = database.fetch if pool == "_pool" else database.fetch_kill
    with pytest.raises(StoreUnavailable, match="in time"):
        await ask("SELECT pg_sleep(0.8)")
    assert await ask("SELECT 1")


async def test_the_server_gives_up_as_well(database: Database) -> None:
    """Its own timeout comes first."""
    with pytest.raises(StoreUnavailable, match="57014"):
        await database.fetch("SELECT pg_sleep(1.3)")


async def test_what_failed_is_told_without_values(database: Database) -> None:
    """The class of the error, not its text."""
    await database.write(ADD, "a", "b", "s3cret")
    with pytest.raises(RolledBack, match=r"UniqueViolation \(23505\)") as refused:
        await database.write(ADD, "a", "b", "s3cret")
    assert "s3cret" not in str(refused.value)


async def test_a_read_only_server_is_left(database: Database) -> None:
    """A primary that became a standby: its idle connections go as well."""
    await database.fetch("SELECT 1")
    with pytest.raises(StoreUnavailable, match="ReadOnly"):
        await database.run(_write_read_only)
    assert database._pool._idle == [] or not database._pool._idle[0].is_closed()


async def _write_read_only(connection: Connection) -> None:
    try:
        await connection.execute("BEGIN READ ONLY")
        await connection.fetch(ADD, "a", "b", "c")
    except asyncpg.PostgresError:
        await connection.execute("ROLLBACK")
        raise


async def test_an_old_server_is_refused(address: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fifteen is the oldest; and what was opened meanwhile is closed."""
    monkeypatch.setattr(module, "MIN_SERVER", 99)
    with pytest.raises(StoreUnavailable, match="PostgreSQL 99"):
        await Database(address).open()


async def test_kills_have_connections_of_their_own(database: Database) -> None:
    """A pool that is used up does not delay them."""
    busy = [asyncio.create_task(database.fetch("SELECT pg_sleep(0.7)")) for _ in range(8)]
    await asyncio.sleep(0.05)
    async with asyncio.timeout(0.5):
        assert await database.fetch_kill("SELECT 1")
        assert await database.write_kill("SELECT 1")
    await asyncio.gather(*busy)
