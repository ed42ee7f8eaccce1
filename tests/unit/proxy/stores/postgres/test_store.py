"""The port as one object."""

from proxy.stores.postgres import Address, PostgresStore
from tests.harness.ledger import Call, session


async def test_a_ping_is_a_write(store: PostgresStore) -> None:
    """Only a write shows that writes work."""
    seen = "SELECT seen_at FROM instances WHERE id = $1"
    ((before,),) = await store._database.fetch(seen, store._database.instance)
    await store.ping()
    ((after,),) = await store._database.fetch(seen, store._database.instance)
    assert after > before


async def test_stores_share_a_database(store: PostgresStore, address: Address) -> None:
    """Each with its own number."""
    other = PostgresStore(address)
    await other.open()
    assert other._database.instance != store._database.instance
    await other.close()


async def test_closing_leaves_nothing_behind(address: Address) -> None:
    """No connection, no lock, whatever was under way."""
    store = PostgresStore(address)
    await store.open()
    await store.open_session(session(), None, 10)
    await store.reserve(Call().reservation())
    await store.close()
    await store.close()
    assert store._database.watch._connection is None
    assert store._database._pool._idle == []
