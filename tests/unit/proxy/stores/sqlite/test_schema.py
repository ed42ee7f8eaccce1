"""Migrations: automatic, backed up, whole or not at all."""

import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from proxy.errors import SchemaNewer, StoreUnavailable
from proxy.stores.sqlite.schema import APPLICATION_ID, Migration, migrate, shipped, version_of

FIRST = Migration(1, f"PRAGMA application_id = {APPLICATION_ID}; CREATE TABLE a (x INTEGER);")
SECOND = Migration(2, "CREATE TABLE b (x INTEGER); INSERT INTO a VALUES (2);")
BROKEN = Migration(2, "CREATE TABLE b (x INTEGER); INSERT INTO nowhere VALUES (1);")
ENDLESS = """
import pathlib, sqlite3, sys
from proxy.stores.sqlite.schema import Migration, migrate
path = pathlib.Path(sys.argv[1])
first, slow = Migration(1, ""), Migration(2, '''
    CREATE TABLE b (x INTEGER);
    WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n)
    INSERT INTO b SELECT x FROM n;
''')
migrate(sqlite3.connect(path, isolation_level=None), path, (first, slow))
"""


@pytest.fixture
def bare(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, isolation_level=None)) as opened:
        opened.execute("PRAGMA journal_mode = WAL")
        yield opened


def tables(connection: sqlite3.Connection) -> set[str]:
    """Return the names of all tables."""
    rows = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
    return {name for (name,) in rows.fetchall()}


def test_the_shipped_migrations_make_a_ledger(bare: sqlite3.Connection, path: Path) -> None:
    """Numbered from one without a gap; all tables are STRICT; running again changes nothing."""
    migrations = shipped()
    assert [one.version for one in migrations] == list(range(1, len(migrations) + 1))
    for _ in range(2):
        migrate(bare, path, migrations)
        assert version_of(bare) == migrations[-1].version
    strict = bare.execute("SELECT name, strict FROM pragma_table_list WHERE type = 'table'")
    loose = {name for name, is_strict in strict.fetchall() if not is_strict}
    assert {name for name in loose if not name.startswith("sqlite_")} == set()
    assert not list(path.parent.glob("*.bak-*"))


def test_an_older_ledger_is_backed_up_and_upgraded(bare: sqlite3.Connection, path: Path) -> None:
    """The copy is the old version, private, with its rows."""
    migrate(bare, path, (FIRST,))
    bare.execute("INSERT INTO a VALUES (1)")
    migrate(bare, path, (FIRST, SECOND))
    assert version_of(bare) == 2
    copy = path.with_name("detent.db.bak-1")
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    with closing(sqlite3.connect(copy)) as old:
        assert version_of(old) == 1
        assert old.execute("SELECT x FROM a").fetchall() == [(1,)]
    assert not list(path.parent.glob("*.partial"))


def test_a_backup_cut_short_earlier_is_made_again(bare: sqlite3.Connection, path: Path) -> None:
    """A leftover partial copy stands in nobody's way."""
    migrate(bare, path, (FIRST,))
    path.with_name("detent.db.bak-1.partial").write_bytes(b"half")
    migrate(bare, path, (FIRST, SECOND))
    with closing(sqlite3.connect(path.with_name("detent.db.bak-1"))) as old:
        assert version_of(old) == 1


def test_a_newer_ledger_is_refused(bare: sqlite3.Connection, path: Path) -> None:
    """And stays as it is; the message names both versions and the cure."""
    migrate(bare, path, (FIRST, SECOND))
    with pytest.raises(SchemaNewer, match="schema 2, this Detent knows 1; install"):
        migrate(bare, path, (FIRST,))
    assert version_of(bare) == 2


def test_a_migration_that_fails_changes_nothing(bare: sqlite3.Connection, path: Path) -> None:
    """The old version is usable at once."""
    migrate(bare, path, (FIRST,))
    with pytest.raises(StoreUnavailable, match="Migration 2 failed and changed nothing"):
        migrate(bare, path, (FIRST, BROKEN))
    assert version_of(bare) == 1
    assert tables(bare) == {"a"}
    migrate(bare, path, (FIRST, SECOND))
    assert tables(bare) == {"a", "b"}


def test_a_migration_cut_by_kill_9_changes_nothing(bare: sqlite3.Connection, path: Path) -> None:
    """A process dies in the middle of the second; the ledger is at the first."""
    migrate(bare, path, (FIRST,))
    log = path.with_name("detent.db-wal")
    size = log.stat().st_size
    with subprocess.Popen([sys.executable, "-c", ENDLESS, str(path)]) as process:
        try:
            deadline = time.monotonic() + 30
            while log.stat().st_size <= size + 2**20 and time.monotonic() < deadline:
                time.sleep(0.01)
            assert log.stat().st_size > size + 2**20
        finally:
            process.kill()
    assert version_of(bare) == 1
    assert tables(bare) == {"a"}
    migrate(bare, path, (FIRST, SECOND))
    assert version_of(bare) == 2


@pytest.mark.parametrize(
    "other",
    ["CREATE TABLE theirs (x)", "PRAGMA user_version = 1", "PRAGMA application_id = 7"],
)
def test_a_database_of_another_program_is_refused(
    bare: sqlite3.Connection, path: Path, other: str
) -> None:
    """It is not migrated into."""
    bare.execute(other)
    with pytest.raises(StoreUnavailable, match="another program"):
        migrate(bare, path, (FIRST,))
