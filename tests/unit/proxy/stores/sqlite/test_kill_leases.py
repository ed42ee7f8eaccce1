"""Holders of a ledger of one process."""

import pytest

from proxy.model.lease import Renewal
from proxy.stores.sqlite import SqliteStore, kill_leases


async def test_a_renewal_is_a_write(store: SqliteStore) -> None:
    """A disk that takes none grants nothing."""
    await store.renew(Renewal("me", "n", 0, 0))
    read = store._database.read
    assert read(lambda reader: reader.execute("SELECT beats FROM pulse").fetchall()) == [(1,)]


async def test_a_holder_that_is_silent_is_forgotten(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a minute."""
    await store.renew(Renewal("me", "n", 0, 0))
    assert await store.holders() == {"me": 0}
    later = kill_leases._now_s() + kill_leases.REMEMBERED_S + 1
    monkeypatch.setattr(kill_leases, "_now_s", lambda: later)
    assert await store.holders() == {}
