"""The port as one object."""

from pathlib import Path

import pytest

from proxy.errors import StoreInUse
from proxy.stores.sqlite import SqliteStore


async def test_a_ping_is_a_write(store: SqliteStore) -> None:
    """Only a write shows that writes work."""
    await store.ping()
    await store.ping()
    read = store._database.read
    assert read(lambda reader: reader.execute("SELECT beats FROM pulse").fetchall()) == [(2,)]


async def test_a_second_store_is_refused(store: SqliteStore, path: Path) -> None:
    """The ledger belongs to one."""
    with pytest.raises(StoreInUse):
        await SqliteStore(path).open()
