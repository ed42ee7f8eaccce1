"""Migrations: numbered, saying what works with them."""

import pytest

from proxy.errors import StoreUnavailable
from proxy.stores.postgres import schema
from proxy.stores.postgres.address import Address
from proxy.stores.postgres.connections import Connection, connect, goodbye
from proxy.stores.postgres.schema import migration, shipped, verify


def test_the_shipped_migrations_are_numbered_from_one() -> None:
    """Without gaps; each works with itself, and says no more."""
    steps = shipped()
    assert [step.version for step in steps] == list(range(1, len(steps) + 1))
    assert all(1 <= step.compatible <= step.version for step in steps)


@pytest.mark.parametrize("sql", ["SELECT 1", "-- works\n-- compatible: 1", "-- compatible: x"])
def test_a_migration_says_first_what_works_with_it(sql: str) -> None:
    """Otherwise nobody could tell whether replicas may roll."""
    with pytest.raises(ValueError, match="compatible"):
        migration(3, sql)


async def test_a_ledger_is_verified_on_its_connection(address: Address) -> None:
    """The one the tests run on is the newest."""
    connection = await connect(address)
    await verify(connection, shipped())
    await goodbye(connection)


@pytest.mark.parametrize("asked", ["inspect", "upgrade"])
async def test_what_cannot_be_done_is_told(
    address: Address, monkeypatch: pytest.MonkeyPatch, asked: str
) -> None:
    """The connection was lost in between."""

    async def lost(*_: Connection) -> None:
        raise ConnectionResetError

    monkeypatch.setattr(schema, "state_of", lost)
    with pytest.raises(StoreUnavailable, match="ConnectionResetError"):
        await getattr(schema, asked)(address)
