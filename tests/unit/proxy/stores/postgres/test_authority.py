"""The kill log over connections of another thread."""

import asyncio

import pytest

from proxy.errors import StoreUnavailable
from proxy.model.lease import Renewal
from proxy.stores.postgres import Address, PostgresStore, ServerAuthority
from tests.harness.ledger import kill


async def test_it_answers_as_the_store_does(address: Address, store: PostgresStore) -> None:
    """Renewals, pushes, acknowledgements, in the same tables."""
    async with ServerAuthority(address) as authority:
        pushed = asyncio.create_task(authority.pushed(0))
        entry = await store.append_kill(kill("ord1"))
        await asyncio.wait_for(pushed, 5)
        assert (await authority.renew(Renewal("hld", "nonce", 0, 0))).entries == (entry,)
        await authority.acknowledge("hld", entry.epoch)
        assert await store.holders() == {"hld": entry.epoch}
        await authority.leave("hld")
    assert await store.holders() == {}


async def test_it_is_no_replica(address: Address, store: PostgresStore) -> None:
    """The intents of this process are those of its store, which shows that it lives."""
    count = "SELECT count(*) FROM instances"
    before = await store._database.fetch(count)
    async with ServerAuthority(address):
        assert await store._database.fetch(count) == before


async def test_it_runs_on_a_thread_of_its_own(address: Address, store: PostgresStore) -> None:
    """Opened, asked and closed in another event loop."""
    entry = await store.append_kill(kill("ord1"))

    async def elsewhere() -> int:
        async with ServerAuthority(address) as authority:
            grant = await authority.renew(Renewal("hld", "nonce", 0, 0))
            return grant.entries[0].epoch

    assert await asyncio.to_thread(asyncio.run, elsewhere()) == entry.epoch


async def test_a_server_that_is_away_is_told() -> None:
    """No lease, no start."""
    with pytest.raises(StoreUnavailable):
        await ServerAuthority(Address.parse("postgresql://nobody@127.0.0.1:1/x")).__aenter__()
