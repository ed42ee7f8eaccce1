"""What kill leases rest on: renewals are writes, and nobody misses a kill."""

import asyncio
import math

from proxy.model.lease import Renewal
from proxy.stores.base import Store
from tests.harness.ledger import kill, lift


async def test_a_renewal_is_answered_with_what_it_does_not_know(store: Store) -> None:
    """The log after that epoch, in order, for its own nonce."""
    entries = [await store.append_kill(kill(f"ord{n}")) for n in range(3)]
    entries.append(await store.append_kill(lift("ord3", 1)))
    for known in (0, 2, 4):
        grant = await store.renew(Renewal("me", f"nonce{known}", known, known))
        assert (grant.nonce, grant.remaining_s) == (f"nonce{known}", math.inf)
        assert list(grant.entries) == entries[known:]


async def test_the_clock_of_the_answers_goes_on(store: Store) -> None:
    """In seconds."""
    before = await store.renew(Renewal("me", "a", 0, 0))
    await asyncio.sleep(0.05)
    after = await store.renew(Renewal("me", "b", 0, 0))
    assert 0.04 < after.authority_at - before.authority_at < 30


async def test_holders_are_known_by_what_they_obey(store: Store) -> None:
    """An epoch never goes back; who leaves is gone; who only acknowledges is no holder."""
    await store.renew(Renewal("one", "a", 0, 3))
    await store.renew(Renewal("two", "b", 0, 0))
    await store.acknowledge("two", 5)
    await store.renew(Renewal("two", "c", 0, 4))
    await store.acknowledge("nobody", 9)
    assert await store.holders() == {"one": 3, "two": 5}
    await store.leave("one")
    await store.leave("one")
    assert await store.holders() == {"two": 5}


async def test_a_push_comes_with_the_next_epoch(store: Store) -> None:
    """At once when it is there already; not before there is one."""
    waiting = asyncio.create_task(store.pushed(0))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    entry = await store.append_kill(kill("ord1"))
    async with asyncio.timeout(2):
        await waiting
        await store.pushed(entry.epoch - 1)
