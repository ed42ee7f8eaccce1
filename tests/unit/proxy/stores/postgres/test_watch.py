"""The connection that listens."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from proxy.errors import StoreUnavailable
from proxy.stores.postgres import connections
from proxy.stores.postgres import watch as module
from proxy.stores.postgres.address import Address
from proxy.stores.postgres.store import PostgresStore
from proxy.stores.postgres.watch import KillWatch
from tests.harness.ledger import kill

ALIVE = "SELECT alive($1)"


@pytest.fixture
async def watch(address: Address) -> AsyncIterator[KillWatch]:
    """One that listens."""
    started = KillWatch(address)
    await started.start()
    yield started
    await started.stop()


async def is_alive(store: PostgresStore, instance: int) -> bool:
    """Whether the database takes a replica for alive."""
    ((alive,),) = await store._database.fetch(ALIVE, instance)
    return bool(alive)


async def test_a_replica_is_alive_until_it_stops(store: PostgresStore, watch: KillWatch) -> None:
    """The moment its `stop` returns, and a second stop is harmless."""
    assert await is_alive(store, watch.instance)
    assert await is_alive(store, store._database.instance)
    await watch.stop()
    assert not await is_alive(store, watch.instance)
    await watch.stop()


async def test_a_lost_connection_is_made_again_with_the_same_number(
    store: PostgresStore, watch: KillWatch
) -> None:
    """It is dead meanwhile, and alive again."""
    number, connection = watch.instance, watch._connection
    assert connection is not None
    connection.terminate()
    async with asyncio.timeout(5):
        while watch._connection in (None, connection) or not await is_alive(store, number):
            await asyncio.sleep(0.01)
    assert watch.instance == number


async def test_a_connection_the_server_still_holds_does_not_keep_the_next_one_out(
    store: PostgresStore, watch: KillWatch
) -> None:
    """As after a partition: the old one is gone only for us."""
    held, number = watch._connection, watch.instance
    assert held is not None
    await watch._connect()
    assert watch._connection is not held
    assert watch.instance == number
    held.terminate()
    await store.append_kill(kill("ord1"))
    assert await asyncio.wait_for(watch.beyond(0), 5) == 1


async def test_an_epoch_is_found_without_a_notification(
    store: PostgresStore, watch: KillWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock makes it look, too."""
    monkeypatch.setattr(module, "LOOK_S", 0.05)
    monkeypatch.setattr(watch, "_on_notified", lambda *_: None)
    watch._bell.set()
    await store._database.fetch("SELECT pg_advisory_unlock_all()")
    await store.append_kill(kill("ord1"))
    assert await asyncio.wait_for(watch.beyond(0), 5) == 1


async def test_what_is_known_is_told_at_once(store: PostgresStore, watch: KillWatch) -> None:
    """The newest, not the next."""
    for n in range(3):
        await store.append_kill(kill(f"ord{n}"))
    await asyncio.wait_for(watch.beyond(2), 5)
    assert await watch.beyond(0) == 3


async def test_who_cannot_register_is_told(
    address: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And its connection is dropped."""
    monkeypatch.setattr(module, "_NEW_INSTANCE", "SELECT 1/0")
    with pytest.raises(StoreUnavailable, match="listened for"):
        await KillWatch(address).start()


async def test_attempts_to_listen_again_are_spaced(
    watch: KillWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the server refuses; then it listens."""
    tried = asyncio.Event()

    async def refuse(_: Address) -> None:
        tried.set()
        raise StoreUnavailable("refused")

    monkeypatch.setattr(module, "connect", refuse)
    assert watch._connection is not None
    watch._connection.terminate()
    await asyncio.wait_for(tried.wait(), 5)
    monkeypatch.setattr(module, "connect", connections.connect)
    assert await listens_within(watch, 5)


async def listens_within(watch: KillWatch, seconds: float) -> bool:
    """Wait until it has a connection."""
    async with asyncio.timeout(seconds):
        while watch._connection is None:
            await asyncio.sleep(0.01)
    return True
