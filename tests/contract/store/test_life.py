"""Opening, closing, and what outlives both."""

import pytest

from proxy.errors import StoreUnavailable
from proxy.model.kill import GLOBAL
from proxy.stores.base import Store
from tests.harness.ledger import LIMITS, NOW, Call, alert, session
from tests.harness.stores import Place


async def test_everything_outlives_the_process(place: Place) -> None:
    """A store opened later sees what an earlier one was told."""
    first = place.store()
    await first.open()
    owner = await first.open_session(session(), "a" * 64, 10)
    await first.reserve(Call(labels=("untrusted",)).reservation())
    await first.lock_agent("acme", "loop", "canary", NOW)
    await first.set_dry_run(GLOBAL, on=True, actor="oncall", at=NOW)
    await first.enqueue_alert(alert())
    seen = await first.view(owner, LIMITS, NOW)
    await first.close()
    second = place.store()
    await second.open()
    assert await second.session_by_token("a" * 64) == owner
    assert await second.view(owner, LIMITS, NOW) == seen
    assert await second.due_alerts(NOW, 10) == ((alert(), 0),)
    await second.close()


async def test_closing_finishes_what_is_queued(place: Place) -> None:
    """Writes that were asked for before the close are there after it."""
    store = place.store()
    await store.open()
    ping, record = store.ping(), store.record(Call().decision)
    await record
    await ping
    await store.close()
    again = place.store()
    await again.open()
    assert len(await again.decisions(10, ("*",))) == 1
    await again.close()


async def test_a_closed_store_says_so(store: Store) -> None:
    """Reads, lists and writes alike; closing again is harmless."""
    await store.close()
    await store.close()
    for asked in (store.ping(), store.session("ses1"), store.kill_log()):
        with pytest.raises(StoreUnavailable, match="closed"):
            await asked


async def test_ping_returns_while_writes_work(store: Store) -> None:
    """Again and again."""
    for _ in range(3):
        await store.ping()


async def test_a_shared_key_stays_the_same(store: Store) -> None:
    """32 bytes for a name, as often as it is asked for."""
    key = await store.shared_key("seal")
    assert len(key) == 32
    assert await store.shared_key("seal") == key
    assert await store.shared_key("other") != key
