"""A ledger on a real PostgreSQL: its address, a store, and how its statements are carried out."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from proxy.stores.postgres import Address, PostgresStore
from proxy.stores.postgres.connections import SETTINGS
from tests.harness.plans import Plan
from tests.harness.postgres import ROLE, Server, database_of


@pytest.fixture
def url(postgres: Server) -> str:
    return postgres.new()


@pytest.fixture
def address(url: str) -> Address:
    return Address.parse(url)


@pytest.fixture
async def store(address: Address) -> AsyncIterator[PostgresStore]:
    opened = PostgresStore(address)
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
async def plan(postgres: Server, url: str) -> AsyncIterator[Plan]:
    """How the server carries out a statement with so many parameters."""
    connection = await asyncpg.connect(
        host=str(postgres.folder),
        port=postgres.port,
        user=ROLE,
        database=database_of(url),
        server_settings=SETTINGS,
    )

    async def explain(sql: str, parameters: int) -> str:
        await connection.execute(f"PREPARE asked AS {sql}")
        values = f"({', '.join(['NULL'] * parameters)})" if parameters else ""
        rows = await connection.fetch(f"EXPLAIN EXECUTE asked {values}")
        await connection.execute("DEALLOCATE asked")
        return "\n".join(row[0] for row in rows)

    yield explain
    await connection.close()
