"""A migrated ledger, as a bare connection or as a whole store."""

import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from proxy.stores.sqlite import SqliteStore
from proxy.stores.sqlite.schema import migrate, shipped


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "detent.db"


@pytest.fixture
def connection(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, isolation_level=None)) as opened:
        opened.execute("PRAGMA foreign_keys = ON")
        opened.execute("PRAGMA synchronous = OFF")
        migrate(opened, path, shipped())
        yield opened


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteStore]:
    opened = SqliteStore(path)
    await opened.open()
    yield opened
    await opened.close()
