"""Kills and lifts: epochs that only grow."""

import asyncio

from proxy.model.kill import (
    GLOBAL,
    KillEntry,
    KillState,
    KillVerdict,
    Scope,
    ScopeKind,
)
from proxy.stores.base import Store
from tests.harness.ledger import kill, lift
from tests.harness.stores import Place

AGENT = Scope(ScopeKind.AGENT, "acme/loop")


async def test_an_order_takes_the_next_epoch(store: Store) -> None:
    """Kills and lifts count together, from one."""
    orders = [kill("o1", AGENT, GLOBAL), lift("o2", 1, AGENT, GLOBAL), kill("o3")]
    entries = [await store.append_kill(order) for order in orders]
    assert entries == [KillEntry(n, order) for n, order in enumerate(orders, 1)]
    assert await store.kill_log() == tuple(entries)


async def test_an_order_repeated_is_one_entry(store: Store) -> None:
    """The same id gives the entry it has, whatever came after it."""
    first = await store.append_kill(kill("o1"))
    await store.append_kill(lift("o2", first.epoch))
    assert await store.append_kill(kill("o1")) == first
    assert len(await store.kill_log()) == 2


async def test_concurrent_orders_get_different_epochs(store: Store) -> None:
    """Thirty orders, each sent twice: thirty epochs without a gap."""
    orders = [kill(f"o{n % 30}", AGENT) for n in range(60)]
    entries = await asyncio.gather(*(store.append_kill(order) for order in orders))
    assert {entry.epoch for entry in entries} == set(range(1, 31))


async def test_the_log_outlives_the_process(place: Place) -> None:
    """A store opened later counts on."""
    for n in (1, 2):
        store = place.store()
        await store.open()
        assert (await store.append_kill(kill(f"o{n}"))).epoch == n
        assert KillState.fold(await store.kill_log()).epoch == n
        await store.close()


async def test_verdicts_belong_to_one_kill_and_the_last_word_stands(store: Store) -> None:
    """Step by step, kill by kill."""
    await store.record_kill_verdict(1, "s1", KillVerdict.UNKNOWN)
    await store.record_kill_verdict(1, "s1", KillVerdict.DONE)
    await store.record_kill_verdict(1, "s2", KillVerdict.NEVER_DISPATCHED)
    await store.record_kill_verdict(2, "s1", KillVerdict.FAILED)
    assert await store.kill_verdicts(1) == {
        "s1": KillVerdict.DONE,
        "s2": KillVerdict.NEVER_DISPATCHED,
    }
    assert await store.kill_verdicts(3) == {}
