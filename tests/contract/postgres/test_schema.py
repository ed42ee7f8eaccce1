"""The schema: upgraded under a lock, shared by two versions of Detent, refused otherwise."""

import asyncio

import pytest

from proxy.errors import SchemaNewer, StoreUnavailable
from proxy.model.ledger import ReserveStatus
from proxy.stores.postgres import Address
from proxy.stores.postgres.database import Database
from proxy.stores.postgres.schema import Migration, inspect, migration, shipped, upgrade
from proxy.stores.postgres.store import PostgresStore
from tests.harness.ledger import Call, session, settled
from tests.harness.postgres import Server, database_of

OURS = shipped()[-1].version
NEXT = migration(
    OURS + 1,
    f"-- compatible: {OURS}\n"
    "ALTER TABLE steps ADD COLUMN colour text NOT NULL DEFAULT 'grey';\n"
    "ALTER TABLE kills ADD COLUMN colour text NOT NULL DEFAULT 'grey';",
)
BREAKING = migration(OURS + 1, f"-- compatible: {OURS + 1}\nDROP VIEW step_rows;")


class Newer(PostgresStore):
    """The Detent after this one, as far as the schema goes."""

    def __init__(self, url: str, *more: Migration) -> None:
        super().__init__(Address.parse(url))
        self._database = Database(Address.parse(url), [*shipped(), *more])


@pytest.fixture
def empty(postgres: Server) -> str:
    """A database with nothing in it."""
    return postgres.new("template1")


async def test_nothing_is_made_by_opening(postgres: Server, empty: str) -> None:
    """A store that has no schema says how to get one."""
    with pytest.raises(StoreUnavailable, match="db upgrade"):
        await PostgresStore(Address.parse(empty)).open()
    (row,) = await postgres.execute(database_of(empty), "SELECT to_regnamespace('detent')")
    assert row[0] is None


async def test_many_who_upgrade_at_once_do_it_once(empty: str) -> None:
    """The others wait and find nothing left."""
    address = Address.parse(empty)
    states = await asyncio.gather(*(upgrade(address) for _ in range(5)))
    assert {state.found for state in states} == {OURS}
    assert await upgrade(address) == await inspect(address) == states[0]


async def test_two_versions_share_a_schema_while_replicas_roll(url: str) -> None:
    """The older one was running before the upgrade, goes on, and may even start again."""
    older = PostgresStore(Address.parse(url))
    await older.open()
    owner = await older.open_session(session(risk_limit=10), None, 10)
    await older.reserve(Call("s1", owner, risk=5).reservation())
    await upgrade(Address.parse(url), [*shipped(), NEXT])
    newer, restarted = Newer(url, NEXT), PostgresStore(Address.parse(url))
    await newer.open()
    await restarted.open()
    try:
        await newer.settle(settled("s1"))
        assert (await older.reserve(Call("s2", owner, risk=4).reservation())).number == 2
        spent = await newer.reserve(Call("s3", owner, risk=2).reservation())
        assert spent.status is ReserveStatus.BUDGET_EXHAUSTED
        assert await newer.steps(None, (), 9) == await restarted.steps(None, (), 9)
    finally:
        for store in (older, newer, restarted):
            await store.close()


async def test_the_newer_waits_for_the_upgrade(url: str) -> None:
    """It needs what is not there yet."""
    with pytest.raises(StoreUnavailable, match="db upgrade"):
        await Newer(url, NEXT).open()


async def test_a_schema_that_left_us_behind_is_refused(url: str) -> None:
    """By a start, and by an upgrade to what we know."""
    await upgrade(Address.parse(url), [*shipped(), BREAKING])
    with pytest.raises(SchemaNewer):
        await PostgresStore(Address.parse(url)).open()
    with pytest.raises(SchemaNewer):
        await upgrade(Address.parse(url))


async def test_a_migration_that_fails_changes_nothing(url: str) -> None:
    """The version before it stays, and works."""
    broken = migration(OURS + 1, f"-- compatible: {OURS}\nDROP TABLE steps CASCADE;\nSELECT 1/0;")
    with pytest.raises(StoreUnavailable, match="changed nothing"):
        await upgrade(Address.parse(url), [*shipped(), broken])
    store = PostgresStore(Address.parse(url))
    await store.open()
    assert await store.steps(None, (), 10) == ()
    await store.close()
